# The alarms. Each says what it means and where it is written what to do (docs/operations.md).

locals {
  runbook = "What to do: docs/operations.md#"
  notify  = [aws_sns_topic.ops.arn]

  # What the services themselves report, as log lines in CloudWatch's embedded metric format.
  own_metrics = "ShopFlow"

  all_alarms = concat(
    values(aws_cloudwatch_metric_alarm.dlq_not_empty),
    values(aws_cloudwatch_metric_alarm.oldest_message),
    values(aws_cloudwatch_metric_alarm.message_expires),
    values(aws_cloudwatch_metric_alarm.throttled_table),
    values(aws_cloudwatch_metric_alarm.throttled_function),
    [
      aws_cloudwatch_metric_alarm.api_errors,
      aws_cloudwatch_metric_alarm.api_latency,
      aws_cloudwatch_metric_alarm.open_orders_stuck,
      aws_cloudwatch_metric_alarm.relay_republishing,
    ],
  )

  # Throttling is counted by table and by index.
  throttle_dimensions = {
    for table, name in var.tables : table => merge(
      { table = { TableName = name } },
      { for index in [var.open_orders_index] : "index" => { TableName = name, GlobalSecondaryIndexName = index } if table == "orders" },
    )
  }
}

resource "aws_cloudwatch_metric_alarm" "dlq_not_empty" {
  for_each = var.consumers

  alarm_name        = "${var.name_prefix}-${each.key}-dlq-not-empty"
  alarm_description = "The ${each.key} service gave up on a message: it breaks its contract, or the service failed on it three times. An order may be waiting behind it. ${local.runbook}dlq-not-empty"
  alarm_actions     = local.notify
  ok_actions        = local.notify

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = each.value.dlq }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # SQS reports nothing of a queue that has been idle for hours
}

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  for_each = var.consumers

  alarm_name        = "${var.name_prefix}-${each.key}-oldest-message"
  alarm_description = "A message has waited for the ${each.key} service for more than ${var.thresholds.oldest_message_seconds} s: the service is down, too slow for what comes in, or holds its batch because a dependency is down. ${local.runbook}oldest-message"
  alarm_actions     = local.notify
  ok_actions        = local.notify

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = each.value.queue }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.oldest_message_seconds
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "message_expires" {
  for_each = var.consumers

  alarm_name        = "${var.name_prefix}-${each.key}-message-expires"
  alarm_description = "A message has waited for the ${each.key} service for more than ${floor(var.thresholds.expiring_message_seconds / 3600)} hours. SQS deletes it 7 days after it was sent, and its order stays where it is for another week. ${local.runbook}message-expires"
  alarm_actions     = local.notify
  ok_actions        = local.notify

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = each.value.queue }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.expiring_message_seconds
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "api_errors" {
  alarm_name        = "${var.name_prefix}-api-errors"
  alarm_description = "The API answers more than ${var.thresholds.api_error_percent} % of its requests with an error of its own (5xx): customers cannot order. ${local.runbook}api-errors"
  alarm_actions     = local.notify
  ok_actions        = local.notify

  evaluation_periods  = 5
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.api_error_percent
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "percent"
    label       = "Requests answered with an error, %"
    expression  = "IF(requests > 0, 100 * FILL(errors, 0) / requests, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { requests = "Requests", errors = "Errors" }

    content {
      id = metric_query.key

      metric {
        namespace   = local.own_metrics
        metric_name = metric_query.value
        dimensions  = { Service = "order" }
        stat        = "Sum"
        period      = 60
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "api_latency" {
  alarm_name        = "${var.name_prefix}-api-latency"
  alarm_description = "One in a hundred requests to the API takes more than ${var.thresholds.api_latency_p99_ms} ms, though it waits for nothing but DynamoDB and SNS. ${local.runbook}api-latency"
  alarm_actions     = local.notify
  ok_actions        = local.notify

  namespace                             = local.own_metrics
  metric_name                           = "LatencyMs"
  dimensions                            = { Service = "order" }
  extended_statistic                    = "p99"
  evaluate_low_sample_count_percentiles = "ignore"
  period                                = 60
  evaluation_periods                    = 5
  datapoints_to_alarm                   = 3
  comparison_operator                   = "GreaterThanThreshold"
  threshold                             = var.thresholds.api_latency_p99_ms
  treat_missing_data                    = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "throttled_table" {
  for_each = local.throttle_dimensions

  alarm_name        = "${var.name_prefix}-${each.key}-table-throttled"
  alarm_description = "DynamoDB refuses requests to the ${each.key} table because they are too many at once: one key or one product is hot, or the account's limit is reached. The services try again, so orders are late, not lost. ${local.runbook}throttles"
  alarm_actions     = local.notify
  ok_actions        = local.notify

  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.throttled_requests
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "throttled"
    label       = "Throttled requests in 5 minutes"
    expression  = "SUM(FILL(METRICS(), 0))"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = {
      for pair in setproduct(["ReadThrottleEvents", "WriteThrottleEvents"], keys(each.value)) :
      lower("${pair[0]}_${pair[1]}") => { metric = pair[0], dimensions = each.value[pair[1]] }
    }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/DynamoDB"
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.dimensions
        stat        = "Sum"
        period      = 300
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "throttled_function" {
  for_each = var.functions

  alarm_name        = "${var.name_prefix}-${each.key}-function-throttled"
  alarm_description = "Lambda does not start the ${each.key} function as often as it is asked to: the account's or the function's limit of concurrent executions is reached. ${local.runbook}throttles"
  alarm_actions     = local.notify
  ok_actions        = local.notify

  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = { FunctionName = each.value }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.throttled_requests
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "open_orders_stuck" {
  alarm_name        = "${var.name_prefix}-open-orders-stuck"
  alarm_description = "An order has been unfinished for more than ${var.thresholds.open_order_seconds} s, or nobody has looked for 10 minutes because the relay does not run. ${local.runbook}open-orders-stuck"
  alarm_actions     = local.notify
  ok_actions        = local.notify

  namespace           = local.own_metrics
  metric_name         = "OldestOpenOrderSeconds"
  dimensions          = { Service = "order" }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.open_order_seconds
  treat_missing_data  = "breaching" # the relay reports at every sweep, an empty index too
}

resource "aws_cloudwatch_metric_alarm" "relay_republishing" {
  alarm_name        = "${var.name_prefix}-relay-republishing"
  alarm_description = "The relay keeps publishing events that were committed but never reached the audit log. After one crash that is its job; again and again it means that SNS refuses, or that the audit service is behind. ${local.runbook}relay-republishing"
  alarm_actions     = local.notify
  ok_actions        = local.notify

  namespace           = local.own_metrics
  metric_name         = "Republished"
  dimensions          = { Service = "order" }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}
