variable "name" {
  description = "Name of the ECS service, its tasks and its log group."
  type        = string
}

variable "service" {
  description = "The worker to run, as the catalogue names it."
  type        = string
}

variable "image" {
  description = "Container image with ShopFlow's services, by digest or by a tag that never moves."
  type        = string
}

variable "environment" {
  description = "Environment variables of the worker (see .env.example)."
  type        = map(string)
}

variable "queue_name" {
  description = "Name of the worker's queue, whose backlog decides how many tasks run."
  type        = string
}

variable "cluster" {
  description = "The ECS cluster, with Container Insights on: they tell how many tasks run."
  type        = object({ arn = string, name = string })
}

variable "subnet_ids" {
  description = "Private subnets to run in, with a way to AWS's endpoints."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of the tasks. A worker listens on no port: they need to let nothing in."
  type        = list(string)
}

variable "task_role_arn" {
  description = "ARN of the role that the worker itself runs under."
  type        = string
}

variable "execution_role_arn" {
  description = "ARN of the role under which ECS fetches the image and writes the log."
  type        = string
}

variable "tasks" {
  description = "How many tasks run at least and at most. At least one: with none, no message would be waited for."
  type        = object({ least = optional(number, 1), most = optional(number, 10) })
  default     = {}
  nullable    = false

  validation {
    condition     = var.tasks.least >= 1 && var.tasks.most >= var.tasks.least
    error_message = "tasks.least must be at least 1 and tasks.most no less than it."
  }
}

variable "backlog_per_task" {
  description = "Messages that may wait for each task: the seconds that a message may wait, divided by the seconds that a task takes for one."
  type        = number
  default     = 100
  nullable    = false
}

variable "architecture" {
  description = "Processor architecture of the image: X86_64 or ARM64."
  type        = string
  default     = "X86_64"
  nullable    = false
}

variable "cpu_units" {
  description = "Processor time of a task: 1024 units are one processor."
  type        = number
  default     = 256
  nullable    = false
}

variable "memory_mb" {
  description = "Memory of a task in MiB."
  type        = number
  default     = 512
  nullable    = false
}

variable "stop_seconds" {
  description = "Seconds from SIGTERM to SIGKILL. A worker finishes its batch and hands back the rest."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.stop_seconds >= 30 && var.stop_seconds <= 120
    error_message = "stop_seconds must be from 30, which a batch may take, to 120, which is the most on Fargate."
  }
}

variable "log_retention_days" {
  description = "Days that log lines are kept."
  type        = number
  default     = 30
  nullable    = false
}
