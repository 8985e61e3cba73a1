# The dashboard: alarms on top; then a column each for API, topic and every consumer, in the order in which an order
# passes them; below that, what they share.

locals {
  table_names  = values(aws_dynamodb_table.this)[*].name
  way_of_order = distinct(concat(["inventory", "payment", "notification"], [for name in keys(local.consumers) : name if name != "audit"], ["audit"]))

  graph_width  = floor(24 / (2 + length(local.way_of_order)))
  graph_height = 5
  graph_top    = 3
  by_order     = ["Stack", var.name_prefix, "Service", "order"]

  graph_columns = concat(
    [
      [
        { title = "API: requests, errors", metrics = [concat([local.own_metrics, "Requests"], local.by_order), concat([local.own_metrics, "Errors"], local.by_order)], stat = "Sum" },
        { title = "API: latency, ms", metrics = [for stat in ["p50", "p99"] : concat([local.own_metrics, "LatencyMs"], local.by_order, [{ stat = stat, label = stat }])], stat = "p99" },
        { title = "API: refused by DynamoDB", metrics = [for name in local.table_names : ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", name, { label = name }]], stat = "Sum" },
      ],
      [
        { title = "Topic: published", metrics = [["AWS/SNS", "NumberOfMessagesPublished", "TopicName", aws_sns_topic.orders.name]], stat = "Sum" },
        { title = "Topic: delivered, failed", metrics = [for metric in ["NumberOfNotificationsDelivered", "NumberOfNotificationsFailed"] : ["AWS/SNS", metric, "TopicName", aws_sns_topic.orders.name]], stat = "Sum" },
        { title = "Relay: republished", metrics = [concat([local.own_metrics, "Republished"], local.by_order)], stat = "Sum" },
      ],
    ],
    [
      for service in local.way_of_order : [
        { title = "${service}: waiting, oldest s", stat = "Maximum", metrics = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", module.consumer[service].queue.name, { label = "waiting" }],
          ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", module.consumer[service].queue.name, { label = "oldest, s", yAxis = "right" }],
        ] },
        { title = "${service}: handled, failed, in the wrong queue", stat = "Sum", metrics = concat(
          [for metric in ["Handled", "Failed", "Misrouted"] : [local.own_metrics, metric, "Stack", var.name_prefix, "Service", service]],
          [[local.own_metrics, "BatchMs", "Stack", var.name_prefix, "Service", service, { stat = "p99", yAxis = "right" }]],
        ) },
        { title = "${service}: dead letters", stat = "Maximum", metrics = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", module.consumer[service].dlq.name, { label = "dead letters" }],
        ] },
      ]
    ],
  )

  shared_graphs = [
    { title = "Open orders, and the age of the oldest", stat = "Maximum", metrics = [
      concat([local.own_metrics, "OpenOrders"], local.by_order),
      concat([local.own_metrics, "OldestOpenOrderSeconds"], local.by_order, [{ yAxis = "right" }]),
    ] },
    { title = "Write units used, by table", stat = "Sum", metrics = [for name in local.table_names : ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", name, { label = name }]] },
  ]

  graphs = concat(
    flatten([for column, graphs in local.graph_columns : [
      for row, graph in graphs : merge(graph, { x = column * local.graph_width, y = local.graph_top + row * local.graph_height, width = local.graph_width })
    ]]),
    [for number, graph in local.shared_graphs : merge(graph, { x = number * 12, y = local.graph_top + 3 * local.graph_height, width = 12 })],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  count = var.alarms ? 1 : 0

  dashboard_name = var.name_prefix

  dashboard_body = jsonencode({ widgets = concat(
    [{
      type       = "alarm"
      x          = 0
      y          = 0
      width      = 24
      height     = local.graph_top
      properties = { title = "Alarms", alarms = values(aws_cloudwatch_metric_alarm.this)[*].arn }
    }],
    [for graph in local.graphs : {
      type   = "metric"
      x      = graph.x
      y      = graph.y
      width  = graph.width
      height = local.graph_height
      properties = {
        title   = graph.title
        region  = local.region
        view    = "timeSeries"
        period  = 60
        stat    = graph.stat
        metrics = graph.metrics
      }
    }],
  ) })
}
