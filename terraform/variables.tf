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

variable "kms_key_arn" {
  description = "ARN of the customer-managed KMS key that encrypts topics, queues and tables; null for keys of AWS, which cost nothing. The key's own policy must let sns.amazonaws.com and cloudwatch.amazonaws.com use it (kms:Decrypt, kms:GenerateDataKey*)."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (not of an alias: rights are granted on keys)."
  }
}

variable "require_tls" {
  description = "Refuse calls to topics and queues that do not come over TLS. Off by default, since a local AWS speaks plain HTTP."
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

variable "trusted_services" {
  description = "The AWS services that may run ShopFlow's services, and so take on their roles."
  type        = set(string)
  default     = ["lambda.amazonaws.com"]
  nullable    = false

  validation {
    condition     = length(var.trusted_services) > 0 && length(setsubtract(var.trusted_services, ["lambda.amazonaws.com", "ecs-tasks.amazonaws.com", "ec2.amazonaws.com"])) == 0
    error_message = "trusted_services must be one or more of lambda.amazonaws.com, ecs-tasks.amazonaws.com and ec2.amazonaws.com."
  }
}

variable "operator_page" {
  description = "Give the Order Service's role the operator's rights, which its page /ops needs (it is on where OPS_TOKEN is set)."
  type        = bool
  default     = false
  nullable    = false
}

variable "alarms" {
  description = "Make the CloudWatch alarms, the topic that they go to, and the dashboard."
  type        = bool
  default     = false
  nullable    = false
}

variable "alarm_emails" {
  description = "E-mail addresses that alarms go to. Each gets a message that asks it to confirm."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "alarm_thresholds" {
  description = "What is still well: seconds that the oldest message of a queue has waited; seconds of that which still leave time until SQS deletes it, at 7 days; percent of requests that the API answers with an error of its own; milliseconds that 99 of 100 requests take; requests throttled in 5 minutes; seconds that the oldest order has been unfinished."
  nullable    = false
  default     = {}

  type = object({
    oldest_message_seconds   = optional(number, 300)
    expiring_message_seconds = optional(number, 259200) # 3 days
    api_error_percent        = optional(number, 1)
    api_latency_p99_ms       = optional(number, 500)
    throttled_requests       = optional(number, 10)
    open_order_seconds       = optional(number, 600)
  })
}

variable "tags" {
  description = "Tags of every resource, beside Project, Stack and ManagedBy."
  type        = map(string)
  default     = {}
  nullable    = false
}
