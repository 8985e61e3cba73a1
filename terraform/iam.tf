# The role of each service. modules/permissions says what each may do.

locals {
  trust_statements = {
    "lambda.amazonaws.com" = {}
    "ec2.amazonaws.com"    = {}
    "ecs-tasks.amazonaws.com" = {
      # AWS recommends this, so that a task of another account cannot get the role.
      Condition = {
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
        ArnLike      = { "aws:SourceArn" = "arn:${data.aws_partition.current.partition}:ecs:${local.region}:${data.aws_caller_identity.current.account_id}:*" }
      }
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

module "permissions" {
  source = "./modules/permissions"

  topic_arn         = module.event_bus.topic.arn
  queue_arns        = { for service, consumer in module.consumer : service => consumer.queue.arn }
  dlq_arns          = { for service, consumer in module.consumer : service => consumer.dlq.arn }
  table_arns        = { for name, table in module.tables.tables : name => table.arn }
  open_orders_index = module.tables.open_orders_index
  publishers        = local.publishers
  functions         = local.function_log_groups

  mail = var.mail_from == null ? null : {
    from = var.mail_from
    identity_arns = [
      for identity in coalescelist(tolist(var.mail_identities), [split("@", var.mail_from)[1]]) :
      "arn:${data.aws_partition.current.partition}:ses:${local.region}:${data.aws_caller_identity.current.account_id}:identity/${identity}"
    ]
  }

  ops_token_parameter_arn = one([
    for name in var.ops_token_parameter[*] :
    "arn:${data.aws_partition.current.partition}:ssm:${local.region}:${data.aws_caller_identity.current.account_id}:parameter/${trimprefix(name, "/")}"
  ])

  kms_key = var.kms_key_arn == null ? null : {
    arn = var.kms_key_arn
    via = [for service in concat(["dynamodb", "sns", "sqs"], var.ops_token_parameter == null ? [] : ["ssm"]) : "${service}.${local.region}.amazonaws.com"]
  }
}

resource "aws_iam_role" "service" {
  for_each = local.services

  name        = "${var.name_prefix}-${each.key}"
  description = "What ShopFlow's service ${each.key} runs as."

  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for service in var.trusted_services : merge(local.trust_statements[service], {
        Effect    = "Allow"
        Principal = { Service = service }
        Action    = "sts:AssumeRole"
      })
    ]
  })
}

resource "aws_iam_role_policy" "service" {
  for_each = local.services

  name   = each.key
  role   = aws_iam_role.service[each.key].id
  policy = module.permissions.services[each.key]
}

# The relay is a thread of the Order Service, except on Lambda, where it is a function on a schedule.
resource "aws_iam_role_policy" "relay_in_order_service" {
  count = local.on_lambda ? 0 : 1

  name   = "relay"
  role   = aws_iam_role.service["order"].id
  policy = module.permissions.services["relay"]
}

resource "aws_iam_policy" "operator" {
  name        = "${var.name_prefix}-operator"
  description = "What ShopFlow's operator's page does: look at queues and dead letters, and send letters back."
  policy      = module.permissions.operator
}

resource "aws_iam_role_policy_attachment" "operator_page" {
  count = var.operator_page ? 1 : 0

  role       = aws_iam_role.service["order"].name
  policy_arn = aws_iam_policy.operator.arn
}
