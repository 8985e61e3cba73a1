output "api" {
  description = "The API, with all its attributes."
  value       = aws_apigatewayv2_api.this
}

output "stage" {
  description = "The stage of the API, with all its attributes."
  value       = aws_apigatewayv2_stage.this
}

output "function_name" {
  description = "Name of the function that answers requests."
  value       = aws_lambda_permission.this.function_name
}
