variable "name" {
  description = "Name of the consumer, first part of its queues' names: <name>-queue and <name>-dlq."
  type        = string
}

variable "topic_arn" {
  description = "ARN of the topic to subscribe to. The queues are in its account and region."
  type        = string
}

variable "event_types" {
  description = "Values of the message attribute eventType to receive; null for every event."
  type        = list(string)
  default     = null
}

variable "visibility_seconds" {
  description = "Seconds that a received message is hidden, unless the receiver says otherwise: 0 to 43,200."
  type        = number
  default     = 60
}

variable "max_receives" {
  description = "Receives after which a message goes to the dead-letter queue: 1 to 1,000."
  type        = number
  default     = 3
}

variable "require_tls" {
  description = "Refuse calls to the queues that do not come over TLS."
  type        = bool
}

variable "kms_key_arn" {
  description = "ARN of the customer-managed key that encrypts the queues; null for the key of SQS."
  type        = string
  default     = null
}
