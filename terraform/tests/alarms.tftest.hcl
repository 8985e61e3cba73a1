# The alarms, the topic that they go to, and the dashboard. The provider is mocked.

mock_provider "aws" {
  source = "./tests/mocks"
}

# The mock gives all topics the ARN of the event topic.
override_resource {
  target = aws_sns_topic.ops
  values = { arn = "arn:aws:sns:eu-west-1:123456789012:stack-ops" }
}

variables {
  name_prefix = "stack"
  region      = "eu-west-1"
  alarms      = true

  service_alarms = true
  alarm_emails   = ["ops@example.com"]
}

run "each_failure_raises_an_alarm_that_says_what_to_do" {
  assert {
    condition = {
      for name, alarm in aws_cloudwatch_metric_alarm.this :
      name => join(" ", concat([alarm.namespace, alarm.metric_name], values(alarm.dimensions), [coalesce(alarm.statistic, alarm.extended_statistic), ">", alarm.threshold])) if alarm.metric_name != null
      } == merge(
      { for service, consumer in module.consumer : "${service}-dlq-not-empty" => "AWS/SQS ApproximateNumberOfMessagesVisible ${consumer.dlq.name} Maximum > 0" },
      { for service, consumer in module.consumer : "${service}-oldest-message" => "AWS/SQS ApproximateAgeOfOldestMessage ${consumer.queue.name} Maximum > 300" },
      { for service, consumer in module.consumer : "${service}-message-expires" => "AWS/SQS ApproximateAgeOfOldestMessage ${consumer.queue.name} Maximum > 259200" },
      {
        api-latency        = "ShopFlow LatencyMs order stack p99 > 500"
        open-orders-stuck  = "ShopFlow OldestOpenOrderSeconds order stack Maximum > 600"
        relay-republishing = "ShopFlow Republished order stack Sum > 0"
      },
    )
    error_message = "An alarm on one metric is missing, or watches something else."
  }

  assert {
    condition = {
      for name, alarm in aws_cloudwatch_metric_alarm.this : name => join(", ", sort(flatten([
        for query in alarm.metric_query : [for metric in query.metric : join(" ", concat([metric.metric_name], values(metric.dimensions)))]
      ]))) if alarm.metric_name == null
      } == merge(
      { for table in ["inventory", "events"] : "${table}-table-throttled" => "ReadThrottleEvents stack-${table}, WriteThrottleEvents stack-${table}" },
      {
        orders-table-throttled = join(", ", [
          "ReadThrottleEvents open-orders stack-orders", "ReadThrottleEvents stack-orders",
          "WriteThrottleEvents open-orders stack-orders", "WriteThrottleEvents stack-orders",
        ])
        api-errors = "Errors order stack, Requests order stack"
      },
    )
    error_message = "An alarm on an expression is missing, or watches something else."
  }

  assert {
    condition = [
      for name, alarm in aws_cloudwatch_metric_alarm.this : name if alarm.treat_missing_data != "notBreaching"
    ] == ["open-orders-stuck"]
    error_message = "Silence must raise an alarm for the relay, which always reports, and for nothing else."
  }

  assert {
    condition = alltrue([
      for name, alarm in aws_cloudwatch_metric_alarm.this :
      alarm.alarm_name == "stack-${name}"
      && alarm.comparison_operator == "GreaterThanThreshold"
      && [one(alarm.alarm_actions), one(alarm.ok_actions)] == [aws_sns_topic.ops[0].arn, aws_sns_topic.ops[0].arn]
      && can(regex("^[A-Z].{40,} What to do: docs/operations.md#[a-z-]+$", alarm.alarm_description))
    ])
    error_message = "An alarm has no prefix, goes nowhere, or does not say what it means and where to read what to do."
  }

  assert {
    condition = [for statement in jsondecode(aws_sns_topic.ops[0].policy).Statement : statement if contains(flatten([statement.Action]), "sns:Publish")] == [
      {
        Sid       = "AllowAlarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = "arn:aws:sns:eu-west-1:123456789012:stack-ops"
        Condition = {
          StringEquals = { "aws:SourceAccount" = "123456789012" }
          ArnLike      = { "aws:SourceArn" = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:stack-*" }
        }
      }
    ]
    error_message = "Only the alarms of this stack may publish to the topic of alarms."
  }

  assert {
    condition     = { for address, subscription in aws_sns_topic_subscription.email : address => "${subscription.protocol} ${subscription.endpoint}" } == { "ops@example.com" = "email ops@example.com" }
    error_message = "Nobody gets the alarms."
  }

  assert {
    condition = [
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : "${widget.x} ${split(":", widget.properties.title)[0]}" if widget.y == 3
      ] == [
      "0 API", "4 Topic", "8 inventory", "12 payment", "16 notification", "20 audit",
    ]
    error_message = "The dashboard does not show API, topic and services in the order of an order's way through them."
  }

  assert {
    condition = (
      length(jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets[0].properties.alarms) == length(aws_cloudwatch_metric_alarm.this)
      && alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.x >= 0 && widget.x + widget.width <= 24])
    )
    error_message = "The dashboard does not show every alarm, or a widget is wider than it, which CloudWatch refuses."
  }
}

run "where_no_service_runs_none_is_missed_and_a_threshold_can_be_set" {
  command = plan

  variables {
    service_alarms   = null
    alarm_thresholds = { oldest_message_seconds = 60 }
  }

  assert {
    condition     = length([for name in keys(aws_cloudwatch_metric_alarm.this) : name if strcontains(name, "api") || strcontains(name, "relay") || strcontains(name, "open-orders")]) == 0
    error_message = "A stack without services has an alarm on what they report."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["payment-oldest-message"].threshold == 60
    error_message = "A threshold was not set."
  }
}
