variable "name" {
  description = "Name of the topic."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the customer-managed key that encrypts the topic; null for the AWS-managed one."
  type        = string
  default     = null
}

variable "require_tls" {
  description = "Refuse events that do not come over TLS."
  type        = bool
}
