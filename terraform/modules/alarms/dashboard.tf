# The dashboard: alarms on top; then a column each for API, topic and every consumer, in the order in which an order
# passes them; below that, what they share.

locals {
  steps     = ["inventory", "payment", "notification"]
  last      = ["audit"]
  others    = sort(setsubtract(keys(var.consumers), concat(local.steps, local.last))) # from an overlay
  consumers = [for service in concat(local.steps, local.others, local.last) : service if contains(keys(var.consumers), service)]

  width    = floor(24 / (2 + length(local.consumers)))
  height   = 5
  top      = 3
  by_order = ["Stack", var.name_prefix, "Service", "order"]

  columns = concat(
    [
      [
        { title = "API: requests, errors", metrics = [concat([local.own_metrics, "Requests"], local.by_order), concat([local.own_metrics, "Errors"], local.by_order)], stat = "Sum" },
        { title = "API: latency, ms", metrics = [for stat in ["p50", "p99"] : concat([local.own_metrics, "LatencyMs"], local.by_order, [{ stat = stat, label = stat }])], stat = "p99" },
        { title = "API: refused by DynamoDB", metrics = [for name in values(var.tables) : ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", name, { label = name }]], stat = "Sum" },
      ],
      [
        { title = "Topic: published", metrics = [["AWS/SNS", "NumberOfMessagesPublished", "TopicName", var.topic_name]], stat = "Sum" },
        { title = "Topic: delivered, failed", metrics = [for metric in ["NumberOfNotificationsDelivered", "NumberOfNotificationsFailed"] : ["AWS/SNS", metric, "TopicName", var.topic_name]], stat = "Sum" },
        { title = "Relay: republished", metrics = [concat([local.own_metrics, "Republished"], local.by_order)], stat = "Sum" },
      ],
    ],
    [
      for service in local.consumers : [
        { title = "${service}: waiting, oldest s", stat = "Maximum", metrics = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.consumers[service].queue, { label = "waiting" }],
          ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", var.consumers[service].queue, { label = "oldest, s", yAxis = "right" }],
        ] },
        { title = "${service}: handled, failed, in the wrong queue", stat = "Sum", metrics = concat(
          [for metric in ["Handled", "Failed", "Misrouted"] : [local.own_metrics, metric, "Stack", var.name_prefix, "Service", service]],
          [[local.own_metrics, "BatchMs", "Stack", var.name_prefix, "Service", service, { stat = "p99", yAxis = "right" }]],
        ) },
        { title = "${service}: dead letters", stat = "Maximum", metrics = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.consumers[service].dlq, { label = "dead letters" }],
        ] },
      ]
    ],
  )

  shared = [
    { title = "Open orders, and the age of the oldest", stat = "Maximum", metrics = [
      concat([local.own_metrics, "OpenOrders"], local.by_order),
      concat([local.own_metrics, "OldestOpenOrderSeconds"], local.by_order, [{ yAxis = "right" }]),
    ] },
    { title = "Write units used, by table", stat = "Sum", metrics = [for name in values(var.tables) : ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", name, { label = name }]] },
  ]

  graphs = concat(
    flatten([for column, graphs in local.columns : [
      for row, graph in graphs : merge(graph, { x = column * local.width, y = local.top + row * local.height, width = local.width })
    ]]),
    [for number, graph in local.shared : merge(graph, { x = number * 12, y = local.top + 3 * local.height, width = 12 })],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name_prefix

  dashboard_body = jsonencode({ widgets = concat(
    [{
      type       = "alarm"
      x          = 0
      y          = 0
      width      = 24
      height     = local.top
      properties = { title = "Alarms", alarms = values(aws_cloudwatch_metric_alarm.this)[*].arn }
    }],
    [for graph in local.graphs : {
      type   = "metric"
      x      = graph.x
      y      = graph.y
      width  = graph.width
      height = local.height
      properties = {
        title   = graph.title
        region  = var.region
        view    = "timeSeries"
        period  = 60
        stat    = graph.stat
        metrics = graph.metrics
      }
    }],
  ) })
}
