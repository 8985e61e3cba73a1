# The alarms, where they go, and the dashboard. No AWS: the provider is mocked.

mock_provider "aws" {
  source = "./tests/mocks"
}

# Else it would have the ARN of the other topic.
override_resource {
  target = module.alarms[0].aws_sns_topic.ops
  values = { arn = "arn:aws:sns:eu-west-1:123456789012:stack-ops" }
}

variables {
  name_prefix  = "stack"
  region       = "eu-west-1"
  alarms       = true
  alarm_emails = ["ops@example.com"]
}

run "what_can_go_wrong_raises_an_alarm_that_says_what_to_do_and_the_dashboard_shows_the_chain" {
  assert {
    condition = {
      for service, alarm in module.alarms[0].alarms.dlq_not_empty : service =>
      join(" ", [alarm.namespace, alarm.metric_name, alarm.dimensions.QueueName, alarm.statistic, alarm.comparison_operator, alarm.threshold])
      } == {
      for service, consumer in module.consumer : service =>
      "AWS/SQS ApproximateNumberOfMessagesVisible ${consumer.dlq.name} Maximum GreaterThanThreshold 0"
    }
    error_message = "A dead letter raises no alarm."
  }

  assert {
    condition = {
      for service, alarm in module.alarms[0].alarms.oldest_message : service =>
      join(" ", [alarm.namespace, alarm.metric_name, alarm.dimensions.QueueName, alarm.statistic, alarm.comparison_operator, alarm.threshold])
      } == {
      for service, consumer in module.consumer : service =>
      "AWS/SQS ApproximateAgeOfOldestMessage ${consumer.queue.name} Maximum GreaterThanThreshold 300"
    }
    error_message = "A message that waits for long raises no alarm."
  }

  assert {
    condition = {
      for service, alarm in module.alarms[0].alarms.message_expires : service =>
      join(" ", [alarm.namespace, alarm.metric_name, alarm.dimensions.QueueName, alarm.statistic, alarm.comparison_operator, alarm.threshold])
      } == {
      for service, consumer in module.consumer : service =>
      "AWS/SQS ApproximateAgeOfOldestMessage ${consumer.queue.name} Maximum GreaterThanThreshold ${3 * 24 * 60 * 60}"
    }
    error_message = "A message that has waited for 3 days, of the 7 that SQS keeps it, raises no alarm."
  }

  assert {
    condition = [
      for alarm in [module.alarms[0].alarms.api_latency, module.alarms[0].alarms.open_orders_stuck, module.alarms[0].alarms.relay_republishing] :
      join(" ", [alarm.namespace, alarm.metric_name, alarm.dimensions.Service, coalesce(alarm.statistic, alarm.extended_statistic), alarm.comparison_operator, alarm.threshold])
      ] == [
      "ShopFlow LatencyMs order p99 GreaterThanThreshold 500",
      "ShopFlow OldestOpenOrderSeconds order Maximum GreaterThanThreshold 600",
      "ShopFlow Republished order Sum GreaterThanThreshold 0",
    ]
    error_message = "A slow API, a stuck order or a busy relay raises no alarm."
  }

  assert {
    condition = [
      module.alarms[0].alarms.open_orders_stuck.treat_missing_data,
      module.alarms[0].alarms.api_latency.treat_missing_data,
      module.alarms[0].alarms.relay_republishing.treat_missing_data,
    ] == ["breaching", "notBreaching", "notBreaching"]
    error_message = "A relay that says nothing raises no alarm, or an API that nobody calls raises one."
  }

  assert {
    condition = {
      for query in module.alarms[0].alarms.api_errors.metric_query : query.id =>
      query.expression != null ? query.expression : join(" ", [one(query.metric).namespace, one(query.metric).metric_name, one(query.metric).dimensions.Service, one(query.metric).stat])
      } == {
      percent  = "IF(requests > 0, 100 * FILL(errors, 0) / requests, 0)"
      requests = "ShopFlow Requests order Sum"
      errors   = "ShopFlow Errors order Sum"
    }
    error_message = "Errors of the API raise no alarm."
  }

  assert {
    condition = alltrue(flatten([
      for alarm in [module.alarms[0].alarms.api_errors, module.alarms[0].alarms.throttled_table["orders"]] : [
        length([for query in alarm.metric_query : query if coalesce(query.return_data, false)]) == 1,
        alarm.comparison_operator == "GreaterThanThreshold",
      ]
    ]))
    error_message = "CloudWatch wants exactly one query of an alarm to return data."
  }

  assert {
    condition = {
      for table, alarm in module.alarms[0].alarms.throttled_table : table => toset([
        for query in alarm.metric_query : join(" ", concat([one(query.metric).metric_name], values(one(query.metric).dimensions))) if query.expression == null
      ])
      } == {
      inventory = toset(["ReadThrottleEvents stack-inventory", "WriteThrottleEvents stack-inventory"])
      events    = toset(["ReadThrottleEvents stack-events", "WriteThrottleEvents stack-events"])
      orders = toset([
        "ReadThrottleEvents stack-orders", "WriteThrottleEvents stack-orders",
        "ReadThrottleEvents open-orders stack-orders", "WriteThrottleEvents open-orders stack-orders",
      ])
    }
    error_message = "A throttled table raises no alarm."
  }

  assert {
    condition = alltrue([
      for alarm in module.alarms[0].all_alarms :
      [one(alarm.alarm_actions), one(alarm.ok_actions), coalesce(alarm.actions_enabled, true)] == [module.alarms[0].topic.arn, module.alarms[0].topic.arn, true]
    ])
    error_message = "An alarm goes nowhere."
  }

  assert {
    condition = [
      for alarm in module.alarms[0].all_alarms : alarm.alarm_name
      if length(regexall("^[A-Z].{40,} What to do: docs/operations.md#[a-z-]+$", alarm.alarm_description)) != 1 || !startswith(alarm.alarm_name, "stack-")
    ] == []
    error_message = "An alarm says not what it means or where it is written what to do."
  }

  assert {
    condition     = length(toset([for alarm in module.alarms[0].all_alarms : alarm.alarm_name])) == 3 * length(module.consumer) + 3 + 4
    error_message = "An alarm is missing, or two share a name."
  }

  assert {
    condition = [for statement in jsondecode(module.alarms[0].topic.policy).Statement : statement if contains(flatten([statement.Action]), "sns:Publish")] == [
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
    error_message = "Others than this stack's alarms may publish to the ops topic."
  }

  assert {
    condition     = { for address, subscription in module.alarms[0].subscriptions : address => join(" ", [subscription.protocol, subscription.endpoint]) } == { "ops@example.com" = "email ops@example.com" }
    error_message = "Alarms reach nobody."
  }

  assert {
    condition = [
      for widget in jsondecode(module.alarms[0].dashboard.dashboard_body).widgets : "${widget.x} ${split(":", widget.properties.title)[0]}" if widget.y == 3
      ] == [
      "0 API", "4 Topic", "8 inventory", "12 payment", "16 notification", "20 audit",
    ]
    error_message = "The dashboard does not show API, topic and services in the order of the chain."
  }

  assert {
    condition = alltrue([
      for widget in jsondecode(module.alarms[0].dashboard.dashboard_body).widgets : widget.x >= 0 && widget.x + widget.width <= 24
    ])
    error_message = "A widget is beyond the edge of the dashboard, which CloudWatch refuses."
  }

  assert {
    condition = length(flatten([
      for widget in jsondecode(module.alarms[0].dashboard.dashboard_body).widgets : [for x in range(widget.width) : [for y in range(widget.height) : "${widget.x + x} ${widget.y + y}"]]
      ])) == length(toset(flatten([
        for widget in jsondecode(module.alarms[0].dashboard.dashboard_body).widgets : [for x in range(widget.width) : [for y in range(widget.height) : "${widget.x + x} ${widget.y + y}"]]
    ])))
    error_message = "Two widgets overlap."
  }

  assert {
    condition     = length(jsondecode(module.alarms[0].dashboard.dashboard_body).widgets[0].properties.alarms) == 3 * length(module.consumer) + 3 + 4
    error_message = "The dashboard does not show the state of every alarm."
  }
}

run "thresholds_can_be_set_one_by_one" {
  variables {
    alarm_thresholds = { oldest_message_seconds = 60 }
  }

  assert {
    condition     = [module.alarms[0].alarms.oldest_message["payment"].threshold, module.alarms[0].alarms.api_latency.threshold] == [60, 500]
    error_message = "A threshold is not the one that was set, or another changed with it."
  }
}
