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
  description = "Name of the index of open orders in the orders table."
  type        = string
}

variable "publishers" {
  description = "The services that publish events."
  type        = set(string)
}

variable "mail" {
  description = "The sender of mails to customers, and the SES identities that they may be sent with; null if no service sends mail."
  type        = object({ from = string, identity_arns = list(string) })
  default     = null
}

variable "kms_key" {
  description = "The customer-managed key that encrypts topic, queues and tables, and the AWS services that use it for the caller; null if AWS-managed keys encrypt them."
  type        = object({ arn = string, via = list(string) })
  default     = null
}

variable "functions" {
  description = "The services that run as a Lambda function, each with the ARN of its log group. Lambda uses the service's role to poll its queue and to write its log."
  type        = map(object({ log_group_arn = string }))
  default     = {}
}

variable "ops_token_parameter_arn" {
  description = "ARN of the SSM parameter with the operator's token; null without one."
  type        = string
  default     = null
}
