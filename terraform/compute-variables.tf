variable "compute" {
  description = "What the services run on: none (processes that are started elsewhere) or lambda."
  type        = string
  default     = "none"
  nullable    = false

  validation {
    condition     = contains(["none", "lambda"], var.compute)
    error_message = "compute must be none or lambda."
  }
}

variable "lambda_package" {
  description = "Path of the zip with the services' code that `make package` makes; null for where it puts it."
  type        = string
  default     = null
}

variable "lambda_runtime" {
  description = "Lambda runtime, of the Python version that the package was made for."
  type        = string
  default     = "python3.11"
  nullable    = false

  validation {
    condition     = can(regex("^python3\\.[0-9]+$", var.lambda_runtime))
    error_message = "lambda_runtime must be a Python runtime, such as python3.11."
  }
}

variable "lambda_architecture" {
  description = "Processor architecture that the package was made for."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.lambda_architecture)
    error_message = "lambda_architecture must be x86_64 or arm64."
  }
}

variable "lambda_memory_mb" {
  description = "Memory of each function in MiB. Processor time comes in proportion: 1769 MiB is one processor."
  type        = number
  default     = 512
  nullable    = false
}

variable "worker_concurrency" {
  description = "Batches of one queue that are worked on at once, at most."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.worker_concurrency >= 2 && var.worker_concurrency <= 1000
    error_message = "worker_concurrency must be from 2 to 1000: Lambda takes no other maximum."
  }
}

variable "api_requests_per_second" {
  description = "Requests a second above which the HTTP API answers 429, once the burst is used up."
  type        = number
  default     = 500
  nullable    = false
}

variable "api_burst_requests" {
  description = "Requests that may come to the HTTP API at once."
  type        = number
  default     = 1000
  nullable    = false
}

variable "service_settings" {
  description = "More environment variables by service, such as { order = { OPS_TOKEN = \"…\" }, payment = { PAYMENT_SUCCESS_RATE = \"1\" } }."
  type        = map(map(string))
  default     = {}
  nullable    = false
  sensitive   = true
}

variable "log_retention_days" {
  description = "Days that the log lines of functions and API are kept."
  type        = number
  default     = 30
  nullable    = false
}
