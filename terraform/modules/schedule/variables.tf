variable "name" {
  description = "Name of the schedule."
  type        = string
}

variable "description" {
  description = "What is done by the schedule, in a few words."
  type        = string
}

variable "expression" {
  description = "When: an EventBridge schedule expression, such as rate(1 minute)."
  type        = string
}

variable "function" {
  description = "The function to invoke, as lambda-function gives it out."
  type        = object({ arn = string, function_name = string })
}
