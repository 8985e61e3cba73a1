variable "name_prefix" {
  description = "First part of the name of every alarm, of the topic and of the dashboard; the services' metrics have it as the dimension Stack."
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
  description = "Name of the index of open orders in the orders table."
  type        = string
}

variable "functions" {
  description = "Names of the Lambda functions, by service; empty if the services do not run on Lambda."
  type        = map(string)
  default     = {}
}

variable "http_api_ids" {
  description = "The id of the HTTP API; empty if the API does not run on Lambda."
  type        = list(string)
  default     = []
}

variable "services_run" {
  description = "Whether the services run and write their metrics to CloudWatch's logs. Only then a missing metric raises an alarm."
  type        = bool
}

variable "thresholds" {
  description = "The values above which an alarm is raised. oldest_message_seconds: how long a message has waited. expiring_message_seconds: the same, as a warning before SQS deletes it after 7 days. api_error_percent: requests that the API answers with 5xx. api_latency_p99_ms: what 99 of 100 requests take at most. throttled_requests: in 5 minutes. open_order_seconds: how long the oldest open order has been unfinished."
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
  description = "E-mail addresses that get the alarms."
  type        = set(string)
}

variable "kms_key_arn" {
  description = "ARN of the customer-managed key that encrypts the topic of alarms; null for no encryption, since CloudWatch may not use the AWS-managed key."
  type        = string
  default     = null
}

variable "require_tls" {
  description = "Refuse messages to the topic of alarms that do not come over TLS."
  type        = bool
}
