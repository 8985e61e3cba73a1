variable "name_prefix" {
  description = "First part of the name of every alarm, of the topic and of the dashboard."
  type        = string
}

variable "region" {
  description = "AWS region of the metrics that the dashboard shows."
  type        = string
}

variable "topic_name" {
  description = "Name of the topic that every event is published to."
  type        = string
}

variable "consumers" {
  description = "Names of the queue and the dead-letter queue of each consuming service."
  type        = map(object({ queue = string, dlq = string }))
}

variable "tables" {
  description = "Names of the tables orders, inventory and events."
  type        = map(string)
}

variable "open_orders_index" {
  description = "Name of the orders table's index of orders whose saga is unfinished."
  type        = string
}

variable "functions" {
  description = "Names of the Lambda functions, by service; empty where the services run as something else."
  type        = map(string)
  default     = {}
}

variable "thresholds" {
  description = "What is still well: age of the oldest message in a queue; its age while it is far from being deleted; share of requests that the API answers with an error of its own; its p99 latency; throttled requests in 5 minutes; age of the oldest open order."
  type = object({
    oldest_message_seconds   = number
    expiring_message_seconds = number
    api_error_percent        = number
    api_latency_p99_ms       = number
    throttled_requests       = number
    open_order_seconds       = number
  })
}

variable "emails" {
  description = "E-mail addresses that alarms go to."
  type        = set(string)
}

variable "kms_key_arn" {
  description = "ARN of the customer-managed key that encrypts the topic of alarms; null for none, since CloudWatch may not use the AWS-managed one."
  type        = string
  default     = null
}

variable "require_tls" {
  description = "Refuse messages to the topic of alarms that do not come over TLS."
  type        = bool
}
