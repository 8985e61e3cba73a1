variable "name_prefix" {
  description = "First part of every table's name."
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
