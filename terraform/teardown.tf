# Refuses `terraform destroy` while deletion protection is on. Without this, Terraform would remove everything but the
# tables. It depends on everything, so that it is removed first.

resource "terraform_data" "teardown" {
  input = var.deletion_protection

  provisioner "local-exec" {
    when    = destroy
    command = self.output ? "echo 'Deletion protection is on, so nothing was removed. Apply with -var=deletion_protection=false first.' >&2; exit 1" : "true"
  }

  depends_on = [
    aws_apigatewayv2_api.orders,
    aws_apigatewayv2_api_mapping.orders,
    aws_apigatewayv2_authorizer.customers,
    aws_apigatewayv2_domain_name.orders,
    aws_apigatewayv2_integration.orders,
    aws_apigatewayv2_route.orders,
    aws_apigatewayv2_stage.orders,
    aws_cloudwatch_dashboard.this,
    aws_cloudwatch_event_rule.relay,
    aws_cloudwatch_event_target.relay,
    aws_cloudwatch_log_group.access,
    aws_cloudwatch_log_group.function,
    aws_cloudwatch_metric_alarm.this,
    aws_dynamodb_resource_policy.events,
    aws_dynamodb_table.this,
    aws_iam_policy.operator,
    aws_iam_role.service,
    aws_iam_role_policy.relay_in_order_service,
    aws_iam_role_policy.service,
    aws_iam_role_policy_attachment.operator_page,
    aws_lambda_alias.live,
    aws_lambda_event_source_mapping.worker,
    aws_lambda_function.this,
    aws_lambda_invocation.check,
    aws_lambda_permission.http_api,
    aws_lambda_permission.relay,
    aws_sns_topic.ops,
    aws_sns_topic.orders,
    aws_sns_topic_subscription.email,
    module.consumer,
  ]
}
