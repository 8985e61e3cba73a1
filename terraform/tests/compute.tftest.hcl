# What the services run on. No AWS: the provider is mocked. Any file will do as the package here.

mock_provider "aws" {
  source = "./tests/mocks"

  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:stack-some" }
  }
  mock_resource "aws_apigatewayv2_api" {
    defaults = { execution_arn = "arn:aws:execute-api:eu-west-1:123456789012:abc" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:some" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/stack-relay" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:some" }
  }
}

override_resource {
  target = aws_iam_role.service["order"]
  values = { arn = "arn:aws:iam::123456789012:role/stack-order" }
}

override_resource {
  target = aws_iam_role.service["relay"]
  values = { arn = "arn:aws:iam::123456789012:role/stack-relay" }
}

override_resource {
  target = aws_iam_role.service["inventory"]
  values = { arn = "arn:aws:iam::123456789012:role/stack-inventory" }
}

override_resource {
  target = aws_iam_role.service["payment"]
  values = { arn = "arn:aws:iam::123456789012:role/stack-payment" }
}

override_resource {
  target = aws_iam_role.service["notification"]
  values = { arn = "arn:aws:iam::123456789012:role/stack-notification" }
}

override_resource {
  target = aws_iam_role.service["audit"]
  values = { arn = "arn:aws:iam::123456789012:role/stack-audit" }
}

override_resource {
  target = module.consumer["inventory"].aws_sqs_queue.this
  values = { arn = "arn:aws:sqs:eu-west-1:123456789012:stack-inventory-queue" }
}

override_resource {
  target = module.consumer["payment"].aws_sqs_queue.this
  values = { arn = "arn:aws:sqs:eu-west-1:123456789012:stack-payment-queue" }
}

override_resource {
  target = module.consumer["notification"].aws_sqs_queue.this
  values = { arn = "arn:aws:sqs:eu-west-1:123456789012:stack-notification-queue" }
}

override_resource {
  target = module.consumer["audit"].aws_sqs_queue.this
  values = { arn = "arn:aws:sqs:eu-west-1:123456789012:stack-audit-queue" }
}

variables {
  name_prefix    = "stack"
  compute        = "lambda"
  lambda_package = "./versions.tf"
  catalogue      = jsondecode(file("../schemas/catalog.json"))
}

run "without_compute_there_is_no_function_and_nothing_that_would_call_one" {
  variables {
    compute        = "none"
    lambda_package = "./there-is-no-such-file"
  }

  assert {
    condition = sum([
      length(module.function), length(aws_lambda_event_source_mapping.worker), length(module.relay_schedule), length(module.http_api)
    ]) == 0
    error_message = "Something of Lambda is made though nobody asked for it."
  }

  assert {
    condition     = output.api_url == null
    error_message = "An address is given where nothing answers."
  }
}

run "every_service_of_the_catalogue_and_the_relay_are_functions_that_know_and_may_do_their_own_work" {
  variables {
    service_settings = { payment = { PAYMENT_SUCCESS_RATE = "1" } }
  }

  assert {
    condition     = toset(keys(module.function)) == setunion(keys(var.catalogue.services), ["relay"])
    error_message = "The functions are not the catalogue's services and the relay."
  }

  assert {
    condition = alltrue([
      for name, one in module.function : one.function.role == "arn:aws:iam::123456789012:role/stack-${name}" && one.function.function_name == "stack-${name}"
    ])
    error_message = "A function runs under another's role, or has another's name."
  }

  assert {
    condition = { for name, one in module.function : name => one.function.handler } == {
      order        = "api.lambda_handler.http"
      relay        = "api.lambda_handler.relay"
      inventory    = "workers.lambda_handler.inventory"
      payment      = "workers.lambda_handler.payment"
      notification = "workers.lambda_handler.notification"
      audit        = "workers.lambda_handler.audit"
    }
    error_message = "A function calls something else than its service."
  }

  assert {
    condition = alltrue([
      for name, one in module.function : one.log_group.name == "/aws/lambda/stack-${name}" && one.log_group.retention_in_days == 30
    ])
    error_message = "A function's log is somewhere else, or kept for ever."
  }

  assert {
    condition = nonsensitive(alltrue([
      for one in module.function : alltrue([
        for name in ["SHOPFLOW_TOPIC_ARN", "SHOPFLOW_ORDERS_TABLE", "SHOPFLOW_INVENTORY_TABLE", "SHOPFLOW_EVENTS_TABLE", "SHOPFLOW_OPEN_ORDERS_INDEX"] :
        length(one(one.function.environment).variables[name]) > 0
      ])
    ]))
    error_message = "A function lacks the name of something that it reads."
  }

  assert {
    condition = nonsensitive({
      for name, one in module.function : name => length([for key in keys(one(one.function.environment).variables) : key if endswith(key, "_QUEUE_URL")])
    }) == { order = 4, relay = 0, inventory = 1, payment = 1, notification = 1, audit = 1 }
    error_message = "A worker does not know its queue, or knows others'."
  }

  assert {
    condition = nonsensitive([
      for name, one in module.function : name if can(one(one.function.environment).variables.PAYMENT_SUCCESS_RATE)
    ]) == ["payment"]
    error_message = "A service's own settings do not reach it, or reach others."
  }
}

run "queues_a_schedule_and_an_api_invoke_them_each_its_own_and_within_limits" {
  assert {
    condition = { for name, mapping in aws_lambda_event_source_mapping.worker : name => mapping.event_source_arn } == {
      for name, service in var.catalogue.services : name => "arn:aws:sqs:eu-west-1:123456789012:stack-${name}-queue" if length(service.consumes) > 0
    }
    error_message = "A queue feeds another's function, or none."
  }

  assert {
    condition = alltrue([
      for mapping in aws_lambda_event_source_mapping.worker :
      mapping.function_response_types == toset(["ReportBatchItemFailures"]) && mapping.batch_size == 10 && one(mapping.scaling_config).maximum_concurrency == 10
    ])
    error_message = "A failed message would fail its batch, or a queue could take all of the account's concurrency."
  }

  assert {
    # Lambda refuses the mapping otherwise, and two functions would have the same message.
    condition     = alltrue([for name in keys(aws_lambda_event_source_mapping.worker) : module.function[name].function.timeout < module.consumer[name].queue.visibility_timeout_seconds])
    error_message = "A message could be received again while its function still runs."
  }

  assert {
    condition     = module.relay_schedule[0].rule.schedule_expression == "rate(1 minute)"
    error_message = "The relay does not run every minute."
  }

  assert {
    condition     = nonsensitive(one(module.function["relay"].function.environment).variables.RELAY_INTERVAL_SECONDS) == "60"
    error_message = "The relay would leave times out, or sweep them twice."
  }

  assert {
    condition     = module.http_api[0].function_name == "stack-order"
    error_message = "A request does not reach the Order Service."
  }

  assert {
    condition     = one(module.http_api[0].stage.default_route_settings).throttling_rate_limit == 500 && one(module.http_api[0].stage.default_route_settings).throttling_burst_limit == 1000
    error_message = "The API takes any number of requests."
  }
}

run "an_overlay_is_told_to_the_services_but_brings_its_own_compute" {
  variables {
    catalog_overlay = "./tests/overlay.json"
  }

  assert {
    condition     = toset(keys(module.function)) == setunion(keys(var.catalogue.services), ["relay"]) && contains(keys(module.consumer), "shipping")
    error_message = "A service that is not in the package is to run from it."
  }

  assert {
    condition     = nonsensitive(alltrue([for one in module.function : one(one.function.environment).variables.SHOPFLOW_CATALOG_OVERLAY == "overlay/catalog.json"]))
    error_message = "A service would take the overlay's events for breaches of contract."
  }
}

run "only_the_one_route_of_the_api_may_invoke_its_function" {
  module {
    source = "./modules/http-api"
  }

  variables {
    name                = "stack-orders"
    description         = "Some API"
    function            = { function_name = "stack-order", invoke_arn = "arn:aws:apigateway:eu-west-1:lambda:path/functions/stack-order/invocations" }
    requests_per_second = 500
    burst_requests      = 1000
    log_retention_days  = 30
  }

  assert {
    condition     = aws_lambda_permission.this.source_arn == "arn:aws:execute-api:eu-west-1:123456789012:abc/*/$default" && aws_lambda_permission.this.principal == "apigateway.amazonaws.com"
    error_message = "Others than this API may invoke the function."
  }

  assert {
    condition     = aws_apigatewayv2_route.this.route_key == "$default" && aws_apigatewayv2_integration.this.payload_format_version == "2.0" && aws_apigatewayv2_integration.this.integration_uri == var.function.invoke_arn
    error_message = "A request is lost, or comes in another form than the function reads."
  }
}

run "another_compute_and_a_concurrency_that_lambda_does_not_take_are_refused" {
  command = plan

  variables {
    compute            = "mainframe"
    worker_concurrency = 1
  }

  expect_failures = [var.compute, var.worker_concurrency]
}

run "the_order_service_has_not_the_rights_of_a_relay_beside_it_and_each_throttled_function_raises_an_alarm" {
  variables {
    alarms = true
  }

  assert {
    condition     = length(aws_iam_role_policy.relay_in_order_service) == 0
    error_message = "The Order Service's role has the rights of a relay that does not run in it."
  }

  assert {
    condition = {
      for service, alarm in module.alarms[0].alarms.throttled_function : service =>
      join(" ", [alarm.namespace, alarm.metric_name, alarm.dimensions.FunctionName, alarm.statistic])
    } == { for service in keys(module.function) : service => "AWS/Lambda Throttles stack-${service} Sum" }
    error_message = "A throttled function raises no alarm."
  }
}
