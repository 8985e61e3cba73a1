output "service" {
  description = "The ECS service, with all its attributes."
  value       = aws_ecs_service.this
}

output "task_definition" {
  description = "The task definition, with all its attributes."
  value       = aws_ecs_task_definition.this
}

output "scaling" {
  description = "The limits and the rule by which tasks are started and stopped, with all their attributes."
  value       = { target = aws_appautoscaling_target.this, policy = aws_appautoscaling_policy.backlog_per_task }
}
