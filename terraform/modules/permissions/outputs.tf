output "services" {
  description = "The policy of each service and of the relay, as JSON. The relay runs in the Order Service or as a function of its own."
  value = {
    for service, statements in local.statements : service => jsonencode({ Version = "2012-10-17", Statement = statements })
  }
}

output "operator" {
  description = "The policy of the operator's page, as JSON."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.operator_statements })
}
