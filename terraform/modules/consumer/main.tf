# How a service gets its events: topic → subscription → queue → (after too many receives) dead-letter queue.
#
# Policies are attributes of the queues and name them by constructed ARNs. The provider waits about 25 s for each queue
# and for each policy that is a resource of its own, so the chain of resources is kept short: DLQ, then queue.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  queue_name = "${var.name}-queue"
  dlq_name   = "${var.name}-dlq"

  arn_prefix = join(":", [
    "arn", data.aws_partition.current.partition, "sqs", data.aws_region.current.name, data.aws_caller_identity.current.account_id
  ])
  queue_arn = "${local.arn_prefix}:${local.queue_name}"
  dlq_arn   = "${local.arn_prefix}:${local.dlq_name}"

  day_seconds       = 24 * 60 * 60
  max_message_bytes = 256 * 1024

  # The topic may send to the queue, and to the DLQ if it cannot deliver to the queue. Services get their rights from
  # IAM, so no others are named here.
  allow_topic = {
    Sid       = "AllowTopic"
    Effect    = "Allow"
    Principal = { Service = "sns.amazonaws.com" }
    Action    = "sqs:SendMessage"
    Condition = { ArnEquals = { "aws:SourceArn" = var.topic_arn } }
  }

  deny_plain_http = {
    Sid       = "DenyPlainHttp"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sqs:*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }

  statements = concat([local.allow_topic], var.require_tls ? [local.deny_plain_http] : [])

  policies = {
    for arn in [local.queue_arn, local.dlq_arn] : arn => jsonencode({
      Version   = "2012-10-17"
      Statement = [for statement in local.statements : merge(statement, { Resource = arn })]
    })
  }
}

resource "aws_sqs_queue" "dlq" {
  name                       = local.dlq_name
  visibility_timeout_seconds = 60
  message_retention_seconds  = 14 * local.day_seconds # since it was first sent: a message keeps its age when it moves here
  max_message_size           = local.max_message_bytes
  sqs_managed_sse_enabled    = var.kms_key_arn == null ? true : null
  kms_master_key_id          = var.kms_key_arn
  policy                     = local.policies[local.dlq_arn]

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.queue_arn]
  })
}

resource "aws_sqs_queue" "this" {
  name                       = local.queue_name
  visibility_timeout_seconds = var.visibility_seconds
  message_retention_seconds  = 7 * local.day_seconds
  receive_wait_time_seconds  = 20
  max_message_size           = local.max_message_bytes
  sqs_managed_sse_enabled    = var.kms_key_arn == null ? true : null
  kms_master_key_id          = var.kms_key_arn
  policy                     = local.policies[local.queue_arn]

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dlq.arn
    maxReceiveCount     = var.max_receives
  })
}

resource "aws_sns_topic_subscription" "this" {
  topic_arn            = var.topic_arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.this.arn
  raw_message_delivery = true

  filter_policy = var.event_types == null ? null : jsonencode({ eventType = var.event_types })

  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dlq.arn })
}
