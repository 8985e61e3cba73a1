variable "topic_arn" {
  description = "ARN of the topic that events are published to."
  type        = string
}

variable "queue_arns" {
  description = "Queue ARN of each consuming service."
  type        = map(string)
}

variable "dlq_arns" {
  description = "Dead-letter queue ARN of each consuming service."
  type        = map(string)
}

variable "table_arns" {
  description = "ARNs of the tables orders, inventory and events."
  type        = object({ orders = string, inventory = string, events = string })
}

variable "open_orders_index" {
  description = "Name of the orders table's index of orders whose saga is unfinished."
  type        = string
}

variable "publishers" {
  description = "The services that publish events."
  type        = set(string)
}

variable "kms_key" {
  description = "The customer-managed key that encrypts topic, queues and tables, and the endpoints of the services that use it on the caller's behalf; null when AWS's own keys do."
  type        = object({ arn = string, via = list(string) })
  default     = null
}

variable "functions" {
  description = "The services that run as a Lambda function, each with the ARN of its log group. Lambda polls their queues and writes their logs under their own role."
  type        = map(object({ log_group_arn = string }))
  default     = {}
}
