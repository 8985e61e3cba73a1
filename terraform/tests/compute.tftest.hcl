# The services as Lambda functions. The provider is mocked, and any file serves as the package.

mock_provider "aws" {
  source = "./tests/mocks"

  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:stack-some" }
  }
  mock_resource "aws_lambda_alias" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:stack-some:live" }
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
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/other" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:other" }
  }
}

# Roles, queues and logs have the same ARN in the mock, but for those of the payment service.
override_resource {
  target = aws_iam_role.service["payment"]
  values = { arn = "arn:aws:iam::123456789012:role/payment" }
}

override_resource {
  target = module.consumer["payment"].aws_sqs_queue.this
  values = { arn = "arn:aws:sqs:eu-west-1:123456789012:payment-queue" }
}

override_resource {
  target = aws_cloudwatch_log_group.function["payment"]
  values = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:payment" }
}

variables {
  name_prefix     = "stack"
  compute         = "lambda"
  payment_gateway = "simulated"
  public          = true
  lambda_package  = "./versions.tf"
  catalogue       = jsondecode(file("../schemas/catalog.json"))
}

run "without_lambda_there_is_no_function_and_nothing_that_invokes_one" {
  command = plan

  variables {
    compute        = "none"
    lambda_package = "./there-is-no-such-file"
  }

  assert {
    condition = sum([
      length(aws_lambda_function.this), length(aws_lambda_event_source_mapping.worker), length(aws_cloudwatch_event_rule.relay), length(aws_apigatewayv2_api.orders)
    ]) == 0 && output.api_url == null
    error_message = "Something of Lambda is created without being asked for."
  }
}

run "every_service_and_the_relay_is_a_function_with_its_own_role_settings_and_trigger" {
  variables {
    service_settings = { payment = { PAYMENT_SUCCESS_RATE = "1" } }
    mail_from        = "orders@shop.example"
    alarms           = true
    alarm_emails     = ["ops@example.com"]
  }

  assert {
    condition = { for name, function in aws_lambda_function.this : name => function.handler } == merge(
      { for name, service in var.catalogue.services : name => "workers.lambda_handler.${name}" if length(service.consumes) > 0 },
      { order = "api.lambda_handler.http", relay = "api.lambda_handler.relay" },
    )
    error_message = "The functions are not the services of the catalogue and the relay, each with its handler."
  }

  assert {
    condition = alltrue([
      for name, function in aws_lambda_function.this :
      function.role == aws_iam_role.service[name].arn
      && function.function_name == "stack-${name}"
      && function.reserved_concurrent_executions < 0
      && aws_cloudwatch_log_group.function[name].name == "/aws/lambda/stack-${name}"
      && aws_cloudwatch_log_group.function[name].retention_in_days == 30
    ])
    error_message = "A function has the role, name or log of another, takes concurrency from the account, or keeps its log for ever."
  }

  assert {
    condition = nonsensitive({
      for name, function in aws_lambda_function.this : name => length([for key in keys(function.environment[0].variables) : key if endswith(key, "_QUEUE_URL")])
    }) == { order = 4, relay = 0, inventory = 1, payment = 1, notification = 1, audit = 1 }
    error_message = "A worker must know its own queue and no other; the Order Service knows all."
  }

  assert {
    condition = nonsensitive({
      for name, function in aws_lambda_function.this : name => [
        for setting in ["MAIL_FROM", "PAYMENT_GATEWAY", "PAYMENT_SUCCESS_RATE"] : function.environment[0].variables[setting]
        if can(function.environment[0].variables[setting])
      ]
      }) == merge({ for name in keys(aws_lambda_function.this) : name => [] }, {
      notification = ["orders@shop.example"]
      payment      = ["simulated", "1"]
    })
    error_message = "A setting of one service must reach that service only."
  }

  assert {
    condition = keys(aws_lambda_event_source_mapping.worker) == keys(module.consumer) && alltrue([
      for name, mapping in aws_lambda_event_source_mapping.worker :
      mapping.event_source_arn == module.consumer[name].queue.arn
      && mapping.function_response_types == toset(["ReportBatchItemFailures"])
      && mapping.batch_size == 10
      && mapping.maximum_batching_window_in_seconds == (name == "audit" ? 2 : 0)
      && one(mapping.scaling_config).maximum_concurrency == 10
    ])
    error_message = "A queue feeds another function, fails whole batches, or may use all concurrency of the account."
  }

  assert {
    condition = nonsensitive(alltrue([
      for name, consumer in module.consumer :
      consumer.queue.visibility_timeout_seconds >= 6 * aws_lambda_function.this[name].timeout
      && aws_lambda_function.this[name].environment[0].variables.SQS_VISIBILITY_SECONDS == tostring(consumer.queue.visibility_timeout_seconds)
      && jsondecode(consumer.queue.redrive_policy).maxReceiveCount >= 5
    ]))
    error_message = "AWS's rule for a queue that Lambda polls: six times the function's timeout, at least five receives."
  }

  assert {
    condition = alltrue(concat(
      [for name, function in aws_lambda_function.this : aws_lambda_alias.live[name].function_version == function.version && function.publish],
      [for name, mapping in aws_lambda_event_source_mapping.worker : mapping.function_name == aws_lambda_alias.live[name].arn],
      [aws_cloudwatch_event_target.relay[0].arn == aws_lambda_alias.live["relay"].arn],
      [aws_lambda_permission.relay[0].qualifier == aws_lambda_alias.live["relay"].name],
    ))
    error_message = "A function is invoked by something else than the alias of its newest version."
  }

  assert {
    condition     = setsubtract(keys(aws_lambda_function.this), keys(aws_lambda_invocation.check)) == toset(["relay"])
    error_message = "A version that was not checked gets messages or requests."
  }

  assert {
    condition = {
      for service in ["payment", "relay"] : service => [
        for statement in jsondecode(aws_iam_role_policy.service[service].policy).Statement : join(" ", flatten([statement.Action, statement.Resource]))
        if contains(["ConsumeItsQueue", "WriteLogs"], statement.Sid)
      ]
      } == {
      payment = [
        "sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:ReceiveMessage sqs:GetQueueAttributes arn:aws:sqs:eu-west-1:123456789012:payment-queue",
        "logs:CreateLogStream logs:PutLogEvents arn:aws:logs:eu-west-1:123456789012:log-group:payment:log-stream:*",
      ]
      relay = ["logs:CreateLogStream logs:PutLogEvents arn:aws:logs:eu-west-1:123456789012:log-group:some:log-stream:*"]
    }
    error_message = "Lambda lacks a right to poll a queue or to write a log, or may use those of another function."
  }

  assert {
    condition = (
      aws_cloudwatch_event_rule.relay[0].schedule_expression == "rate(1 minute)"
      && nonsensitive(aws_lambda_function.this["relay"].environment[0].variables.RELAY_INTERVAL_SECONDS) == "60"
      && length(aws_iam_role_policy.relay_in_order_service) == 0
    )
    error_message = "The relay must run every minute, know that it does, and have its rights to itself."
  }

  assert {
    condition = {
      for name, alarm in aws_cloudwatch_metric_alarm.this : name => alarm.dimensions.FunctionName if strcontains(name, "-function-")
      } == merge([
        for name in keys(aws_lambda_function.this) : { for what in ["throttled", "errors"] : "${name}-function-${what}" => "stack-${name}" }
    ]...)
    error_message = "A function that is throttled or fails raises no alarm."
  }

  assert {
    condition     = length(setsubtract(["http-api-errors", "open-orders-stuck"], keys(aws_cloudwatch_metric_alarm.this))) == 0
    error_message = "A stack whose services run on Lambda has no alarm on the HTTP API or on what the services report."
  }
}

run "a_service_of_an_overlay_has_a_queue_but_brings_its_own_compute" {
  command = plan

  variables {
    catalog_overlay = "./tests/overlay.json"
  }

  assert {
    condition     = !contains(keys(aws_lambda_function.this), "shipping") && contains(keys(module.consumer), "shipping")
    error_message = "A service that is not in the package is a function, or has no queue."
  }

  assert {
    condition     = local.common_environment.SHOPFLOW_CATALOG_OVERLAY == "overlay/catalog.json"
    error_message = "The services do not know the overlay and would refuse its events."
  }
}

run "only_a_token_orders_and_the_operators_page_and_the_streams_cannot_use_up_the_api" {
  variables {
    public         = false
    jwt_authorizer = { issuer = "https://customers.example", audience = ["shop", "app"] }
    domain         = { name = "shop.example", certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/some" }
    api_throttles  = { all = { rate = 5, burst = 6 }, ops = { rate = 1, burst = 2 }, streams = { rate = 3, burst = 4 } }

    disable_execute_api_endpoint = true
  }

  assert {
    condition = { for route in aws_apigatewayv2_route.orders : route.route_key => route.authorization_type if route.authorizer_id != null } == {
      "POST /orders" = "JWT"
    }
    error_message = "An order needs no token, or reading and the operator's page need one."
  }

  assert {
    condition = {
      for settings in aws_apigatewayv2_stage.orders[0].route_settings : settings.route_key => [settings.throttling_rate_limit, settings.throttling_burst_limit]
      } == {
      "ANY /ops"                     = [1, 2]
      "ANY /ops/{proxy+}"            = [1, 2]
      "GET /flow/stream"             = [3, 4]
      "GET /orders/{orderId}/stream" = [3, 4]
    } && one(aws_apigatewayv2_stage.orders[0].default_route_settings).throttling_rate_limit == 5
    error_message = "The API takes any number of requests, or the operator's page or a stream has no throttle of its own."
  }

  assert {
    condition     = output.api_url == "https://shop.example" && aws_apigatewayv2_api.orders[0].disable_execute_api_endpoint && aws_apigatewayv2_domain_name.orders[0].domain_name_configuration[0].security_policy == "TLS_1_2"
    error_message = "The API answers elsewhere than at its domain, or with old TLS."
  }

  assert {
    condition = (
      aws_apigatewayv2_integration.orders[0].payload_format_version == "2.0"
      && aws_apigatewayv2_integration.orders[0].integration_uri == aws_lambda_alias.live["order"].invoke_arn
      && contains(keys(aws_apigatewayv2_route.orders), "$default")
    )
    error_message = "Some requests do not reach the function, or come in a format that it does not read."
  }

  assert {
    condition = (
      aws_lambda_permission.http_api[0].source_arn == "arn:aws:execute-api:eu-west-1:123456789012:abc/*"
      && aws_lambda_permission.http_api[0].principal == "apigateway.amazonaws.com"
      && aws_lambda_permission.http_api[0].qualifier == "live"
    )
    error_message = "Something else than this API may invoke the function."
  }

  assert {
    condition = nonsensitive({
      for name, function in aws_lambda_function.this : name => function.environment[0].variables.JWT_AUDIENCE if can(function.environment[0].variables.JWT_ISSUER)
    }) == { order = "app,shop" }
    error_message = "The Order Service takes an order without a token on a route that has no authorizer."
  }
}

run "a_pinned_function_keeps_its_version_and_one_with_reserved_concurrency_has_it" {
  variables {
    pinned_versions      = { order = "3" }
    reserved_concurrency = { relay = 1 }
  }

  assert {
    condition     = [for name, version in output.live_versions : name if version == "3"] == ["order"]
    error_message = "Another function than the pinned one keeps its version, or the pinned one does not."
  }

  assert {
    condition     = [for name, function in aws_lambda_function.this : name if function.reserved_concurrent_executions == 1] == ["relay"]
    error_message = "The relay has no concurrency of its own, or another function has it."
  }
}

run "with_the_parameter_of_its_token_the_operators_page_is_on_and_has_its_rights" {
  variables {
    ops_token_parameter = "/stack/ops-token"
  }

  assert {
    condition = (
      nonsensitive(aws_lambda_function.this["order"].environment[0].variables.OPS_TOKEN_PARAMETER) == "/stack/ops-token"
      && [for statement in jsondecode(aws_iam_role_policy.service["order"].policy).Statement : [statement.Action, statement.Resource] if statement.Sid == "ReadOperatorsToken"]
      == [["ssm:GetParameter", "arn:aws:ssm:eu-west-1:123456789012:parameter/stack/ops-token"]]
      && aws_iam_role_policy_attachment.operator_page[0].role == "stack-order"
      && aws_iam_role_policy_attachment.operator_page[0].policy_arn == aws_iam_policy.operator.arn
    )
    error_message = "The Order Service does not know the parameter of the operator's token, may not read it, or lacks an operator's rights."
  }
}

# Each run breaks one rule of each variable that it names.

run "what_cannot_work_is_refused" {
  command = plan

  variables {
    payment_gateway              = null
    public                       = false
    jwt_authorizer               = { issuer = "http://customers.example", audience = ["shop"] } # no TLS
    disable_execute_api_endpoint = true                                                         # and no domain
    mail_from                    = "orders@shop.example, other@shop.example"
    worker_concurrency           = 1
    pinned_versions              = { order = "live" }
    service_settings             = { payment = { PAYMENT_SUCCESS_RATE = "80" } }
  }

  expect_failures = [
    var.payment_gateway, var.jwt_authorizer, var.disable_execute_api_endpoint, var.mail_from,
    var.worker_concurrency, var.pinned_versions, var.service_settings,
  ]
}

run "who_may_order_must_be_said_and_a_text_is_no_number" {
  command = plan

  variables {
    public           = false
    service_settings = { relay = { RELAY_INTERVAL_SECONDS = "often" } }
  }

  expect_failures = [var.public, var.service_settings]
}

run "who_may_order_must_be_said_once_and_settings_belong_to_a_service" {
  command = plan

  variables {
    jwt_authorizer   = { issuer = "https://customers.example", audience = ["shop"] }
    service_settings = { payments = { PAYMENT_SUCCESS_RATE = "1" } }
  }

  expect_failures = [var.public, var.service_settings]
}

run "the_operators_token_in_the_state_is_refused" {
  command = plan

  variables {
    compute          = "mainframe"
    service_settings = { order = { OPS_TOKEN = "a-token-of-some-length" } }
  }

  expect_failures = [var.compute, var.service_settings]
}
