# The topic that alarms go to. Only the CloudWatch alarms of this stack may publish to it.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  topic_name = "${var.name_prefix}-ops"
  topic_arn  = "arn:${local.partition}:sns:${var.region}:${local.account_id}:${local.topic_name}"

  allow_alarms = {
    Sid       = "AllowAlarms"
    Effect    = "Allow"
    Principal = { Service = "cloudwatch.amazonaws.com" }
    Action    = "sns:Publish"
    Resource  = local.topic_arn
    Condition = {
      StringEquals = { "aws:SourceAccount" = local.account_id }
      ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:cloudwatch:${var.region}:${local.account_id}:alarm:${var.name_prefix}-*" }
    }
  }

  # IAM policies of the account decide who may subscribe.
  allow_account = {
    Sid       = "AllowAccount"
    Effect    = "Allow"
    Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
    Action    = ["sns:Subscribe", "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"]
    Resource  = local.topic_arn
  }

  deny_plain_http = {
    Sid       = "DenyPlainHttp"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sns:Publish"
    Resource  = local.topic_arn
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }
}

resource "aws_sns_topic" "ops" {
  #checkov:skip=CKV_AWS_26:CloudWatch may not use the AWS-managed key, and an alarm says nothing about a customer; with kms_key_arn it is encrypted
  name              = local.topic_name
  kms_master_key_id = var.kms_key_arn

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat([local.allow_alarms, local.allow_account], [for deny in [local.deny_plain_http] : deny if var.require_tls])
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.emails

  topic_arn = aws_sns_topic.ops.arn
  protocol  = "email"
  endpoint  = each.key
}
