# The alarms. Each description says what the alarm means and where to read what to do (docs/operations.md).

locals {
  # The namespace of the metrics that the services report, as log lines in CloudWatch's embedded metric format.
  own_metrics      = "ShopFlow"
  of_order_service = { Stack = var.name_prefix, Service = "order" }
  runbook          = "What to do: docs/operations.md#"

  # Three for each consumer.
  queue_alarms = merge([
    for service, consumer in module.consumer : {
      "${service}-dlq-not-empty" = {
        description = "The ${service} service gave up on a message: it breaks its contract, or the service failed on it three times. An order may be waiting for it. ${local.runbook}dlq-not-empty"
        namespace   = "AWS/SQS"
        metric_name = "ApproximateNumberOfMessagesVisible"
        dimensions  = { QueueName = consumer.dlq.name }
        statistic   = "Maximum"
        period      = 60
        threshold   = 0
      }
      "${service}-oldest-message" = {
        description        = "A message has waited for the ${service} service for more than ${var.alarm_thresholds.oldest_message_seconds} s: the service is down, too slow, or paused because a dependency is down. ${local.runbook}oldest-message"
        namespace          = "AWS/SQS"
        metric_name        = "ApproximateAgeOfOldestMessage"
        dimensions         = { QueueName = consumer.queue.name }
        statistic          = "Maximum"
        period             = 60
        evaluation_periods = 3
        threshold          = var.alarm_thresholds.oldest_message_seconds
      }
      "${service}-message-expires" = {
        description = "A message has waited for the ${service} service for more than ${floor(var.alarm_thresholds.expiring_message_seconds / 3600)} hours. SQS deletes it 7 days after it was sent; its order then makes no progress for another week. ${local.runbook}message-expires"
        namespace   = "AWS/SQS"
        metric_name = "ApproximateAgeOfOldestMessage"
        dimensions  = { QueueName = consumer.queue.name }
        statistic   = "Maximum"
        period      = 300
        threshold   = var.alarm_thresholds.expiring_message_seconds
      }
    }
  ]...)

  # DynamoDB counts throttled requests by operation, and by table and index.
  table_alarms = {
    for name, table in aws_dynamodb_table.this : "${name}-table-throttled" => {
      description = "DynamoDB refuses requests to the ${name} table because there are too many at once: one key is hot, or the limit of the account is reached. The services try again, so orders are late, not lost. ${local.runbook}throttles"
      threshold   = var.alarm_thresholds.throttled_requests
      expression  = "SUM(FILL(METRICS(), 0))"
      label       = "Throttled requests in 5 minutes"
      inputs = {
        for pair in setproduct(["ReadThrottleEvents", "WriteThrottleEvents"], name == "orders" ? ["table", "index"] : ["table"]) :
        lower("${pair[0]}_${pair[1]}") => {
          namespace   = "AWS/DynamoDB"
          metric_name = pair[0]
          dimensions  = merge({ TableName = table.name }, pair[1] == "index" ? { GlobalSecondaryIndexName = local.open_orders_index } : {})
          period      = 300
        }
      }
    }
  }

  function_alarms = merge([
    for service, function in aws_lambda_function.this : {
      "${service}-function-throttled" = {
        description = "Lambda starts the ${service} function less often than asked: the limit of concurrent executions, of the account or of the function, is reached. ${local.runbook}throttles"
        namespace   = "AWS/Lambda"
        metric_name = "Throttles"
        dimensions  = { FunctionName = function.function_name }
        statistic   = "Sum"
        period      = 300
        threshold   = var.alarm_thresholds.throttled_requests
      }
      "${service}-function-errors" = {
        description = "The ${service} function raised an error, was stopped at its timeout, or could not start. What it had received comes again, until it is a dead letter. ${local.runbook}function-errors"
        namespace   = "AWS/Lambda"
        metric_name = "Errors"
        dimensions  = { FunctionName = function.function_name }
        statistic   = "Sum"
        period      = 300
        threshold   = 0
      }
    }
  ]...)

  # These also count requests that no function answered.
  http_api_alarms = {
    for api in aws_apigatewayv2_api.orders : "http-api-errors" => {
      description = "API Gateway answers more than ${var.alarm_thresholds.api_error_percent} % of the requests with 5xx: customers cannot order. ${local.runbook}api-errors"
      threshold   = var.alarm_thresholds.api_error_percent
      expression  = "IF(requests > 0, 100 * FILL(errors, 0) / requests, 0)"
      label       = "Requests answered with 5xx, %"
      inputs = {
        for name, metric in { requests = "Count", errors = "5xx" } :
        name => { namespace = "AWS/ApiGateway", metric_name = metric, dimensions = { ApiId = api.id }, period = 300 }
      }
    }
  }

  order_service_alarms = {
    api-errors = {
      description         = "The API answers more than ${var.alarm_thresholds.api_error_percent} % of its requests with an error of its own (5xx): customers cannot order. ${local.runbook}api-errors"
      evaluation_periods  = 5
      datapoints_to_alarm = 3
      threshold           = var.alarm_thresholds.api_error_percent
      expression          = "IF(requests > 0, 100 * FILL(errors, 0) / requests, 0)"
      label               = "Requests answered with an error, %"
      inputs = {
        for metric in ["Requests", "Errors"] :
        lower(metric) => { namespace = local.own_metrics, metric_name = metric, dimensions = local.of_order_service, period = 60 }
      }
    }
    api-latency = {
      description         = "One in a hundred requests to the API takes more than ${var.alarm_thresholds.api_latency_p99_ms} ms, though it waits only for DynamoDB and SNS. ${local.runbook}api-latency"
      namespace           = local.own_metrics
      metric_name         = "LatencyMs"
      dimensions          = local.of_order_service
      percentile          = "p99"
      period              = 60
      evaluation_periods  = 5
      datapoints_to_alarm = 3
      threshold           = var.alarm_thresholds.api_latency_p99_ms
    }
    open-orders-stuck = {
      description        = "An order has been unfinished for more than ${var.alarm_thresholds.open_order_seconds} s, or the relay has not run for 10 minutes. ${local.runbook}open-orders-stuck"
      namespace          = local.own_metrics
      metric_name        = "OldestOpenOrderSeconds"
      dimensions         = local.of_order_service
      statistic          = "Maximum"
      period             = 300
      evaluation_periods = 2
      threshold          = var.alarm_thresholds.open_order_seconds
      missing_data       = "breaching" # every sweep of the relay reports it, also when no order is open
    }
    relay-republishing = {
      description         = "The relay keeps publishing events that were committed but are not in the audit log. After a crash that is its job; again and again it means that SNS refuses them or that the audit service is behind. ${local.runbook}relay-republishing"
      namespace           = local.own_metrics
      metric_name         = "Republished"
      dimensions          = local.of_order_service
      statistic           = "Sum"
      period              = 300
      evaluation_periods  = 3
      datapoints_to_alarm = 2
      threshold           = 0
    }
  }
}

locals {
  # Where no service runs, no metric comes, and the relay's missing metric would raise an alarm.
  services_report = coalesce(var.service_alarms, local.on_lambda)

  all_alarms = merge(
    local.queue_alarms, local.table_alarms, local.function_alarms, local.http_api_alarms,
    { for name, alarm in local.order_service_alarms : name => alarm if local.services_report },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = { for name, alarm in local.all_alarms : name => alarm if var.alarms }

  alarm_name          = "${var.name_prefix}-${each.key}"
  alarm_description   = each.value.description
  alarm_actions       = [aws_sns_topic.ops[0].arn]
  ok_actions          = [aws_sns_topic.ops[0].arn]
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = try(each.value.evaluation_periods, 1)
  datapoints_to_alarm = try(each.value.datapoints_to_alarm, null)
  treat_missing_data  = try(each.value.missing_data, "notBreaching") # SQS reports nothing about a queue that was idle for hours

  # An alarm watches one metric or, below, an expression over several.
  namespace                             = try(each.value.namespace, null)
  metric_name                           = try(each.value.metric_name, null)
  dimensions                            = try(each.value.dimensions, null)
  period                                = try(each.value.period, null)
  statistic                             = try(each.value.statistic, null)
  extended_statistic                    = try(each.value.percentile, null)
  evaluate_low_sample_count_percentiles = can(each.value.percentile) ? "ignore" : null

  dynamic "metric_query" {
    for_each = try([each.value.expression], [])

    content {
      id          = "result"
      label       = each.value.label
      expression  = metric_query.value
      return_data = true
    }
  }

  dynamic "metric_query" {
    for_each = try(each.value.inputs, {})

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.metric_name
        dimensions  = metric_query.value.dimensions
        stat        = "Sum"
        period      = metric_query.value.period
      }
    }
  }
}
