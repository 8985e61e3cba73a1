variable "name" {
  description = "Name of the function."
  type        = string
}

variable "description" {
  description = "What the function does, in a few words."
  type        = string
}

variable "handler" {
  description = "Module and attribute in the package that Lambda calls, such as api.lambda_handler.http."
  type        = string
}

variable "package" {
  description = "Path of the zip that `make package` makes."
  type        = string
}

variable "runtime" {
  description = "Lambda runtime with the Python version that the package was made for."
  type        = string
}

variable "architecture" {
  description = "Processor architecture that the package was made for: x86_64 or arm64."
  type        = string
}

variable "role_arn" {
  description = "ARN of the role that the function runs under."
  type        = string
}

variable "environment" {
  description = "Environment variables of the function."
  type        = map(string)
}

variable "memory_mb" {
  description = "Memory in MiB: 128 to 10,240. The share of a processor grows with it: 1769 MiB is one processor."
  type        = number
}

variable "timeout_seconds" {
  description = "Seconds after which Lambda stops an invocation: 1 to 900."
  type        = number
}

variable "log_retention_days" {
  description = "Days that log lines are kept."
  type        = number
}

variable "check_event" {
  description = "An event, as JSON, that every new version must answer before it gets the alias, without any effect; null for no check."
  type        = string
  default     = null
}

variable "pinned_version" {
  description = "The version that keeps the alias; null for the newest."
  type        = string
  default     = null
}

variable "reserved_concurrency" {
  description = "Concurrent executions that are reserved for this function, and that are also its limit; null for the account's common pool."
  type        = number
  default     = null
}
