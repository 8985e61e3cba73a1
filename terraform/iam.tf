# The role of each service, and the policy of an operator. permissions.tf says what each may do.

locals {
  trust_statements = {
    "lambda.amazonaws.com" = {}
    "ec2.amazonaws.com"    = {}
    "ecs-tasks.amazonaws.com" = {
      # AWS recommends this, so that a task of another account cannot get the role.
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account_id }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${local.here}:*" }
      }
    }
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
  policy = jsonencode({ Version = "2012-10-17", Statement = [for one in local.service_statements[each.key] : merge(one, { Effect = "Allow" })] })
}

# The relay is a thread of the Order Service, except on Lambda, where it is a function on a schedule.
resource "aws_iam_role_policy" "relay_in_order_service" {
  count = local.on_lambda ? 0 : 1

  name   = "relay"
  role   = aws_iam_role.service["order"].id
  policy = aws_iam_role_policy.service["relay"].policy
}

resource "aws_iam_policy" "operator" {
  name        = "${var.name_prefix}-operator"
  description = "What ShopFlow's operator's page does: look at queues and dead letters, and send letters back."
  policy      = jsonencode({ Version = "2012-10-17", Statement = [for one in local.operator_statements : merge(one, { Effect = "Allow" })] })
}

resource "aws_iam_role_policy_attachment" "operator_page" {
  count = var.ops_token_parameter == null ? 0 : 1

  role       = aws_iam_role.service["order"].name
  policy_arn = aws_iam_policy.operator.arn
}
