# A worker as containers. No AWS: the provider is mocked.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name               = "stack-payment"
  service            = "payment"
  image              = "registry.example/shopflow@sha256:0"
  environment        = { LOG_FORMAT = "json" }
  queue_name         = "stack-payment-queue"
  cluster            = { arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/stack", name = "stack" }
  subnet_ids         = ["subnet-1"]
  security_group_ids = ["sg-1"]
  task_role_arn      = "arn:aws:iam::123456789012:role/stack-payment"
  execution_role_arn = "arn:aws:iam::123456789012:role/stack-execution"
}

run "the_container_runs_its_worker_and_can_write_nothing" {
  module {
    source = "./modules/ecs-worker"
  }

  assert {
    condition     = one(jsondecode(output.task_definition.container_definitions)).command == ["workers", "payment"]
    error_message = "The container runs something else than its worker."
  }

  assert {
    condition     = one(jsondecode(output.task_definition.container_definitions)).readonlyRootFilesystem
    error_message = "The container's files can be written."
  }

  assert {
    condition     = one(jsondecode(output.task_definition.container_definitions)).stopTimeout == 60
    error_message = "A batch may be cut off by SIGKILL."
  }

  assert {
    condition     = output.task_definition.task_role_arn == var.task_role_arn && !one(output.service.network_configuration).assign_public_ip
    error_message = "The worker runs under another role, or where anybody can reach it."
  }
}

run "tasks_are_started_and_stopped_by_the_backlog_for_each_that_runs" {
  module {
    source = "./modules/ecs-worker"
  }

  assert {
    condition = {
      for metric in one(one(aws_appautoscaling_policy.backlog_per_task.target_tracking_scaling_policy_configuration).customized_metric_specification).metrics :
      metric.id => one([for stat in metric.metric_stat : {
        name       = "${one(stat.metric).namespace}/${one(stat.metric).metric_name}"
        dimensions = { for dimension in one(stat.metric).dimensions : dimension.name => dimension.value }
      }]) if !metric.return_data
      } == {
      waiting = { name = "AWS/SQS/ApproximateNumberOfMessagesVisible", dimensions = { QueueName = "stack-payment-queue" } }
      running = { name = "ECS/ContainerInsights/RunningTaskCount", dimensions = { ClusterName = "stack", ServiceName = "stack-payment" } }
    }
    error_message = "The backlog, or the number of tasks, is measured somewhere else."
  }

  assert {
    condition = [
      for metric in one(one(aws_appautoscaling_policy.backlog_per_task.target_tracking_scaling_policy_configuration).customized_metric_specification).metrics :
      metric.expression if metric.return_data
    ] == ["waiting / FILL(running, 1)"]
    error_message = "Scaling does not follow the backlog for each task."
  }

  assert {
    condition     = aws_appautoscaling_target.this.resource_id == "service/stack/stack-payment" && aws_appautoscaling_policy.backlog_per_task.resource_id == aws_appautoscaling_target.this.resource_id
    error_message = "Another service is scaled than this one."
  }

  assert {
    condition     = [aws_appautoscaling_target.this.min_capacity, aws_appautoscaling_target.this.max_capacity] == [1, 10]
    error_message = "There may be no task at all, or any number."
  }
}

run "no_task_at_all_is_refused_since_none_would_take_the_first_message" {
  command = plan

  module {
    source = "./modules/ecs-worker"
  }

  variables {
    tasks = { least = 0 }
  }

  expect_failures = [var.tasks]
}

run "less_time_to_stop_than_a_batch_may_take_is_refused" {
  command = plan

  module {
    source = "./modules/ecs-worker"
  }

  variables {
    stop_seconds = 10
  }

  expect_failures = [var.stop_seconds]
}
