variable "name" {
  description = "Name of the API."
  type        = string
}

variable "description" {
  description = "What the API serves, in a few words."
  type        = string
}

variable "function" {
  description = "The function that answers, as lambda-function gives it out."
  type        = object({ function_name = string, invoke_arn = string })
}

variable "requests_per_second" {
  description = "Requests a second above which the API answers 429, once the burst is used up."
  type        = number
}

variable "burst_requests" {
  description = "Requests that may come at once."
  type        = number
}

variable "log_retention_days" {
  description = "Days that the access log is kept."
  type        = number
}
