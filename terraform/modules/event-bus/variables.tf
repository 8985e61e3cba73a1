variable "name" {
  description = "Name of the topic."
  type        = string
}

variable "kms_master_key_id" {
  description = "KMS key id, ARN or alias that encrypts the topic."
  type        = string
}

variable "require_tls" {
  description = "Refuse to take an event that does not come over TLS."
  type        = bool
}
