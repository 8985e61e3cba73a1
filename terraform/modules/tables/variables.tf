variable "name_prefix" {
  description = "First part of the name of every table."
  type        = string
}

variable "point_in_time_recovery" {
  description = "Keep 35 days of continuous backups of every table."
  type        = bool
}

variable "deletion_protection" {
  description = "Refuse to delete any table."
  type        = bool
}

variable "policies" {
  description = "Give the table of events a resource policy."
  type        = bool
}

variable "kms_key_arn" {
  description = "ARN of the customer-managed key that encrypts the tables; null for the AWS-managed one."
  type        = string
  default     = null
}
