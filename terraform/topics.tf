# The topic of all events, and the topic that alarms go to.

locals {
  # IAM policies of the account decide. Without this statement SNS writes a default policy with the principal `*`.
  allow_account = {
    Sid       = "AllowAccount"
    Effect    = "Allow"
    Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
    Action    = ["sns:Subscribe", "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"]
  }

  allow_account_to_publish = merge(local.allow_account, { Action = concat(["sns:Publish"], local.allow_account.Action) })

  allow_alarms_of_this_stack = {
    Sid       = "AllowAlarms"
    Effect    = "Allow"
    Principal = { Service = "cloudwatch.amazonaws.com" }
    Action    = "sns:Publish"
    Condition = {
      StringEquals = { "aws:SourceAccount" = local.account_id }
      ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:cloudwatch:${local.here}:alarm:${var.name_prefix}-*" }
    }
  }

  deny_plain_http = {
    Sid       = "DenyPlainHttp"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sns:Publish"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }

  topic_policies = {
    for name, statements in {
      "${var.name_prefix}-orders" = [local.allow_account_to_publish]
      "${var.name_prefix}-ops"    = [local.allow_alarms_of_this_stack, local.allow_account]
      } : name => jsonencode({
        Version = "2012-10-17"
        Statement = [
          for statement in concat(statements, var.require_tls ? [local.deny_plain_http] : []) :
          merge(statement, { Resource = "arn:${local.partition}:sns:${local.here}:${name}" })
        ]
    })
  }
}

resource "aws_sns_topic" "orders" {
  name              = "${var.name_prefix}-orders"
  kms_master_key_id = coalesce(var.kms_key_arn, "alias/aws/sns")
  policy            = local.topic_policies["${var.name_prefix}-orders"]
}

resource "aws_sns_topic" "ops" {
  #checkov:skip=CKV_AWS_26:CloudWatch may not use the AWS-managed key, and an alarm says nothing about a customer; with kms_key_arn it is encrypted
  count = var.alarms ? 1 : 0

  name              = "${var.name_prefix}-ops"
  kms_master_key_id = var.kms_key_arn
  policy            = local.topic_policies["${var.name_prefix}-ops"]
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.alarms ? var.alarm_emails : []

  topic_arn = aws_sns_topic.ops[0].arn
  protocol  = "email"
  endpoint  = each.key
}
