variable "name_prefix" {
  description = "First part of the name of every resource. Stacks with different prefixes live side by side in one account and region."
  type        = string
  default     = "shopflow"
  nullable    = false

  # An SQS name has at most 80 characters: 32 leave room for any service name and the suffix.
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.name_prefix))
    error_message = "name_prefix must be 2 to 32 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }
}

variable "region" {
  description = "AWS region of every resource."
  type        = string
  default     = "us-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the code of an AWS region, such as us-east-1."
  }
}

variable "topic_kms_key_id" {
  description = "KMS key id, ARN or alias that encrypts the topic. The AWS-managed key lets the account's own principals publish; another AWS service that publishes (a CloudWatch alarm, say) needs a customer-managed key."
  type        = string
  default     = "alias/aws/sns"
  nullable    = false
}

variable "require_tls" {
  description = "Refuse calls to the topic and the queues that do not come over TLS. Off by default, since a local AWS speaks plain HTTP."
  type        = bool
  default     = false
  nullable    = false
}

variable "point_in_time_recovery" {
  description = "Keep 35 days of continuous backups of every table."
  type        = bool
  default     = false
  nullable    = false
}

variable "deletion_protection" {
  description = "Refuse to delete any table."
  type        = bool
  default     = false
  nullable    = false
}

variable "catalog_overlay" {
  description = "Path of a catalogue that adds services of its own to schemas/catalog.json, such as examples/fraud/catalog.json."
  type        = string
  default     = null
}
