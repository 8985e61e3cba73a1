data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  topic_arn  = "arn:${local.partition}:sns:${data.aws_region.current.name}:${local.account_id}:${var.name}"

  # IAM policies of the account decide. Without this statement SNS writes a default policy with the principal `*`.
  allow_account = {
    Sid       = "AllowAccount"
    Effect    = "Allow"
    Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
    Action    = ["sns:Publish", "sns:Subscribe", "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"]
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

resource "aws_sns_topic" "this" {
  name              = var.name
  kms_master_key_id = coalesce(var.kms_key_arn, "alias/aws/sns")

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat([local.allow_account], var.require_tls ? [local.deny_plain_http] : [])
  })
}
