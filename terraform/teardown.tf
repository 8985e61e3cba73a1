# Refuses `terraform destroy` while deletion protection is on. Without this, Terraform would remove everything but the
# tables. It depends on everything, so that it is removed first.

resource "terraform_data" "teardown" {
  input = var.deletion_protection

  provisioner "local-exec" {
    when    = destroy
    command = self.output ? "echo 'Deletion protection is on, so nothing was removed. Apply with -var=deletion_protection=false first.' >&2; exit 1" : "true"
  }

  depends_on = [
    aws_cloudwatch_event_rule.relay,
    aws_cloudwatch_event_target.relay,
    aws_iam_policy.operator,
    aws_iam_role.service,
    aws_iam_role_policy.relay_in_order_service,
    aws_iam_role_policy.service,
    aws_iam_role_policy_attachment.operator_page,
    aws_lambda_event_source_mapping.worker,
    aws_lambda_permission.relay,
    module.alarms,
    module.consumer,
    module.event_bus,
    module.function,
    module.http_api,
    module.permissions,
    module.tables,
  ]
}
