output "services" {
  description = "The policy of each service, as JSON. The relay's is its own, for it runs in the Order Service or by schedule."
  value = {
    for service, statements in local.statements : service => jsonencode({ Version = "2012-10-17", Statement = statements })
  }
}

output "operator" {
  description = "The policy of the operator's page, as JSON."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.operator_statements })
}
