# What the services run on. `none`: processes that are started elsewhere, as on a developer's machine. `lambda`: one
# function for each service, all from one package, invoked by its queue, by an HTTP API or by a schedule.

locals {
  on_lambda = var.compute == "lambda"

  # The package holds the services of schemas/catalog.json. A service of an overlay brings its own compute.
  lambda_workers = local.on_lambda ? { for name, consumes in local.consumers : name => module.consumer[name] if contains(keys(local.catalog.services), name) } : {}

  # The settings of every service (shopflow/config.py). `make package` puts the overlay at this path.
  common_environment = merge(var.catalog_overlay == null ? {} : { SHOPFLOW_CATALOG_OVERLAY = "overlay/catalog.json" }, {
    METRICS                    = "emf"
    SHOPFLOW_STACK             = var.name_prefix
    SHOPFLOW_TOPIC_ARN         = aws_sns_topic.orders.arn
    SHOPFLOW_ORDERS_TABLE      = aws_dynamodb_table.this["orders"].name
    SHOPFLOW_INVENTORY_TABLE   = aws_dynamodb_table.this["inventory"].name
    SHOPFLOW_EVENTS_TABLE      = aws_dynamodb_table.this["events"].name
    SHOPFLOW_OPEN_ORDERS_INDEX = local.open_orders_index
  })

  queue_urls = merge([
    for name, consumer in module.consumer : {
      "SHOPFLOW_${upper(name)}_QUEUE_URL" = consumer.queue.url
      "SHOPFLOW_${upper(name)}_DLQ_URL"   = consumer.dlq.url
    }
  ]...)

  # What variables of this module ask for.
  settings = {
    payment      = { PAYMENT_GATEWAY = var.payment_gateway }
    notification = var.mail_from == null ? {} : { MAIL_FROM = var.mail_from }
    order = merge(
      var.ops_token_parameter == null ? {} : { OPS_TOKEN_PARAMETER = var.ops_token_parameter },
      var.jwt_authorizer == null ? {} : {
        JWT_ISSUER   = var.jwt_authorizer.issuer
        JWT_AUDIENCE = join(",", var.jwt_authorizer.audience)
      }
    )
  }

  # The numbers that the services read, each with its bounds (shopflow/config.py).
  setting_bounds = {
    CONSUMER_THREADS       = [0, 64]
    PAYMENT_LATENCY_MAX_MS = [0, 60000]
    PAYMENT_LATENCY_MIN_MS = [0, 60000]
    PAYMENT_SUCCESS_RATE   = [0, 1]
    PORT                   = [0, 65535]
    RELAY_INTERVAL_SECONDS = [0.1, 3600]
    SQS_VISIBILITY_SECONDS = [1, 43200]
    SQS_WAIT_SECONDS       = [0, 20]
  }

  relay_minutes  = 1
  worker_seconds = 50

  worker_functions = {
    for name, consumer in local.lambda_workers : name => {
      description     = local.catalog.services[name].title
      handler         = "workers.lambda_handler.${name}"
      timeout_seconds = local.worker_seconds
      check_event     = jsonencode({ Records = [] })
      environment = merge({
        "SHOPFLOW_${upper(name)}_QUEUE_URL" = consumer.queue.url
        SQS_VISIBILITY_SECONDS              = tostring(consumer.queue.visibility_timeout_seconds)
      }, try(local.settings[name], {}))
    }
  }

  # An HTTP API gives up after 30 s. Every call of our API ends well before that.
  order_functions = local.on_lambda ? {
    order = {
      description     = "The Order Service's API"
      handler         = "api.lambda_handler.http"
      timeout_seconds = 29
      check_event     = jsonencode({ headers = {}, rawPath = "/health", requestContext = { http = { method = "GET", sourceIp = "" } } })
      environment     = merge(local.queue_urls, local.settings.order)
    }
    relay = {
      description     = "Publishes what was committed but never published"
      handler         = "api.lambda_handler.relay"
      timeout_seconds = 60 * local.relay_minutes
      check_event     = null # an invocation would have an effect
      environment     = { RELAY_INTERVAL_SECONDS = tostring(60 * local.relay_minutes) }
    }
  } : {}

  functions = merge(local.worker_functions, local.order_functions)
}

resource "aws_lambda_event_source_mapping" "worker" {
  for_each = local.lambda_workers

  event_source_arn        = each.value.queue.arn
  function_name           = aws_lambda_alias.live[each.key].arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]

  maximum_batching_window_in_seconds = try(local.catalog.services[each.key].batch_window_seconds, 0)

  scaling_config {
    maximum_concurrency = var.worker_concurrency
  }

  depends_on = [aws_iam_role_policy.service] # Lambda polls the queue with the function's role
}

# The event says in `time` when it was due.
resource "aws_cloudwatch_event_rule" "relay" {
  count = local.on_lambda ? 1 : 0

  name                = "${var.name_prefix}-relay"
  description         = "Runs the relay over the open orders"
  schedule_expression = "rate(${local.relay_minutes} minute)"
}

resource "aws_cloudwatch_event_target" "relay" {
  count = local.on_lambda ? 1 : 0

  rule = aws_cloudwatch_event_rule.relay[0].name
  arn  = aws_lambda_alias.live["relay"].arn
}

resource "aws_lambda_permission" "relay" {
  count = local.on_lambda ? 1 : 0

  statement_id  = "AllowSchedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_alias.live["relay"].function_name
  qualifier     = aws_lambda_alias.live["relay"].name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.relay[0].arn
}
