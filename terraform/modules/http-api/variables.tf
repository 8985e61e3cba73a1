variable "name" {
  description = "Name of the API."
  type        = string
}

variable "description" {
  description = "What the API serves, in a few words."
  type        = string
}

variable "function" {
  description = "The alias of the function that answers requests: an output of modules/lambda-function."
  type        = object({ name = string, function_name = string, invoke_arn = string })
}

variable "requests_per_second" {
  description = "Requests a second that the API takes. Above it, when the burst is used up too, it answers 429."
  type        = number
}

variable "burst_requests" {
  description = "Requests that the API takes at once, above the rate."
  type        = number
}

variable "log_retention_days" {
  description = "Days that the access log is kept."
  type        = number
}
