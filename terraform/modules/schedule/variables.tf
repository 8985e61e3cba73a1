variable "name" {
  description = "Name of the schedule."
  type        = string
}

variable "description" {
  description = "What happens on the schedule, in a few words."
  type        = string
}

variable "expression" {
  description = "An EventBridge schedule expression, such as rate(1 minute)."
  type        = string
}

variable "function" {
  description = "The function to invoke: the output of modules/lambda-function."
  type        = object({ arn = string, function_name = string })
}
