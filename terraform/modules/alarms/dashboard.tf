# The chain from left to right: API, topic, then a column for each consuming service; below it what they share.

locals {
  # The order in which an order passes through them; those that an overlay adds come after, audit last.
  chain     = concat(["inventory", "payment", "notification"], sort([for name in keys(var.consumers) : name if !contains(["inventory", "payment", "notification", "audit"], name)]), ["audit"])
  columns   = concat(["api", "topic"], [for name in local.chain : name if contains(keys(var.consumers), name)])
  width     = floor(24 / length(local.columns))
  height    = 5
  positions = { for number, column in local.columns : column => number * local.width }

  of_api = [
    { title = "API: requests, errors", metrics = [[local.own_metrics, "Requests", "Service", "order"], [".", "Errors", ".", "."]], stat = "Sum" },
    { title = "API: latency, ms", metrics = [for stat in ["p50", "p99"] : [local.own_metrics, "LatencyMs", "Service", "order", { stat = stat, label = stat }]], stat = "p99" },
    { title = "API: refused by DynamoDB", metrics = [for name in values(var.tables) : ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", name, { label = name }]], stat = "Sum" },
  ]

  of_topic = [
    { title = "Topic: published", metrics = [["AWS/SNS", "NumberOfMessagesPublished", "TopicName", var.topic_name]], stat = "Sum" },
    { title = "Topic: delivered, failed", metrics = [["AWS/SNS", "NumberOfNotificationsDelivered", "TopicName", var.topic_name], [".", "NumberOfNotificationsFailed", ".", "."]], stat = "Sum" },
    { title = "Relay: republished", metrics = [[local.own_metrics, "Republished", "Service", "order"]], stat = "Sum" },
  ]

  of_consumer = {
    for service, names in var.consumers : service => [
      { title = "${service}: waiting, oldest s", metrics = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", names.queue, { label = "waiting" }], [".", "ApproximateAgeOfOldestMessage", ".", ".", { label = "oldest, s", yAxis = "right" }]], stat = "Maximum" },
      { title = "${service}: handled, failed, in the wrong queue", metrics = [[local.own_metrics, "Handled", "Service", service, { stat = "Sum" }], [".", "Failed", ".", ".", { stat = "Sum" }], [".", "Misrouted", ".", ".", { stat = "Sum" }], [".", "BatchMs", ".", ".", { stat = "p99", yAxis = "right" }]], stat = "Sum" },
      { title = "${service}: dead letters", metrics = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", names.dlq, { label = "dead letters" }]], stat = "Maximum" },
    ]
  }

  graphs = merge({ api = local.of_api, topic = local.of_topic }, local.of_consumer)

  chain_widgets = flatten([
    for column in local.columns : [
      for row, graph in local.graphs[column] : {
        type   = "metric"
        x      = local.positions[column]
        y      = 3 + row * local.height
        width  = local.width
        height = local.height
        properties = {
          title   = graph.title
          region  = var.region
          view    = "timeSeries"
          period  = 60
          stat    = graph.stat
          metrics = graph.metrics
        }
      }
    ]
  ])

  open_orders = {
    type   = "metric"
    x      = 0
    y      = 3 + 3 * local.height
    width  = 12
    height = local.height
    properties = {
      title  = "Open orders, and the age of the oldest"
      region = var.region
      view   = "timeSeries"
      period = 60
      stat   = "Maximum"
      metrics = [
        [local.own_metrics, "OpenOrders", "Service", "order"],
        [".", "OldestOpenOrderSeconds", ".", ".", { yAxis = "right" }],
      ]
    }
  }

  written = {
    type   = "metric"
    x      = 12
    y      = 3 + 3 * local.height
    width  = 12
    height = local.height
    properties = {
      title   = "Write units used, by table"
      region  = var.region
      view    = "timeSeries"
      period  = 60
      stat    = "Sum"
      metrics = [for name in values(var.tables) : ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", name, { label = name }]]
    }
  }

  alarm_states = {
    type       = "alarm"
    x          = 0
    y          = 0
    width      = 24
    height     = 3
    properties = { title = "Alarms", alarms = [for alarm in local.all_alarms : alarm.arn] }
  }
}

resource "aws_cloudwatch_dashboard" "chain" {
  dashboard_name = var.name_prefix
  dashboard_body = jsonencode({ widgets = concat([local.alarm_states], local.chain_widgets, [local.open_orders, local.written]) })
}
