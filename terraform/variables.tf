variable "name_prefix" {
  description = "First part of the name of every resource. Stacks with different prefixes live side by side in one account and region."
  type        = string
  default     = "shopflow"

  # An SQS name has at most 80 characters: 32 leave room for any service name and the suffix.
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.name_prefix))
    error_message = "name_prefix must be 2 to 32 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }
}

variable "region" {
  description = "AWS region of every resource; null for that of the environment or of the AWS profile."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "ARN of the customer-managed KMS key that encrypts topics, queues and tables; null for AWS-managed keys, which cost nothing. The key's own policy must let sns.amazonaws.com and cloudwatch.amazonaws.com use it (kms:Decrypt, kms:GenerateDataKey*)."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (not of an alias: rights are granted on keys)."
  }
}

variable "require_tls" {
  description = "Refuse calls to topics and queues that do not come over TLS. Off by default, because a local AWS speaks plain HTTP."
  type        = bool
  default     = false
}

variable "point_in_time_recovery" {
  description = "Keep 35 days of continuous backups of every table."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Refuse to delete any table."
  type        = bool
  default     = false
}

variable "table_policies" {
  description = "Give the audit log a resource policy: nobody can change or delete an entry, whatever their rights. Turn it off for a local AWS that has no such policies, such as LocalStack."
  type        = bool
  default     = true
}

variable "catalog_overlay" {
  description = "Path of an overlay: a catalogue that adds services to schemas/catalog.json, such as examples/fraud/catalog.json."
  type        = string
  default     = null
}

variable "trusted_services" {
  description = "The AWS services that run ShopFlow's services, and so may assume their roles: lambda.amazonaws.com, ecs-tasks.amazonaws.com, ec2.amazonaws.com."
  type        = set(string)
  default     = ["lambda.amazonaws.com"]
}

variable "permissions_boundary_arn" {
  description = "ARN of the policy that bounds what the roles can do; null for none. The roles of terraform/bootstrap may only create roles with it."
  type        = string
  default     = null
}

variable "payment_gateway" {
  description = "The payment gateway, by name. The only one is simulated, and takes no money."
  type        = string
  default     = null

  validation {
    condition     = var.payment_gateway == null ? var.compute == "none" : var.payment_gateway == "simulated"
    error_message = "payment_gateway must be \"simulated\": that is the only gateway, it takes no money, and so it must be asked for by name."
  }
}

variable "mail_from" {
  description = "Address that customers get mail from, through Amazon SES; null for mails into the log. SES must have verified it or its domain."
  type        = string
  default     = null

  validation {
    condition     = var.mail_from == null || can(regex("^[^@<>,;[:space:]]+@[^@<>,;[:space:]]+$", var.mail_from))
    error_message = "mail_from must be one address, such as orders@shop.example."
  }
}

variable "mail_identities" {
  description = "SES identities that mail may be sent with; empty for the domain of mail_from. In the sandbox of SES, add the identities of the recipients."
  type        = set(string)
  default     = []
}

variable "alarms" {
  description = "Create the CloudWatch alarms, the topic that they go to, and the dashboard."
  type        = bool
  default     = false
}

variable "alarm_emails" {
  description = "E-mail addresses that get the alarms. AWS asks each to confirm."
  type        = set(string)
  default     = []

  validation {
    condition     = !var.alarms || length(var.alarm_emails) > 0
    error_message = "Nobody would get the alarms: set alarm_emails, as in -var='alarm_emails=[\"ops@example.com\"]', or alarms = false."
  }
}

variable "service_alarms" {
  description = "Create the alarms on the services' own metrics, which need services that run with METRICS=emf and whose output is in CloudWatch's logs; null: when compute is lambda."
  type        = bool
  default     = null
}

variable "alarm_thresholds" {
  description = "The values above which an alarm is raised. oldest_message_seconds: how long a message has waited. expiring_message_seconds: the same, as a warning before SQS deletes it after 7 days. api_error_percent: requests that the API answers with 5xx. api_latency_p99_ms: what 99 of 100 requests take at most. throttled_requests: in 5 minutes. open_order_seconds: how long the oldest open order has been unfinished."
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
  description = "Tags of every resource, in addition to Project, Stack and ManagedBy."
  type        = map(string)
  default     = {}
}

# What the services run on (compute.tf).

variable "compute" {
  description = "What the services run on: none (processes that are started elsewhere) or lambda."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "lambda"], var.compute)
    error_message = "compute must be none or lambda."
  }
}

variable "lambda_package" {
  description = "Path of the zip with the services' code that `make package` makes; null for its default path."
  type        = string
  default     = null
}

variable "lambda_runtime" {
  description = "Lambda runtime with the Python version that the package was made for."
  type        = string
  default     = "python3.13"
}

variable "lambda_architecture" {
  description = "Processor architecture that the package was made for."
  type        = string
  default     = "x86_64"
}

variable "lambda_memory_mb" {
  description = "Memory of each function in MiB. The share of a processor grows with it: 1769 MiB is one processor."
  type        = number
  default     = 512
}

variable "worker_concurrency" {
  description = "The most batches of one queue that are handled at the same time."
  type        = number
  default     = 10

  validation {
    condition     = var.worker_concurrency >= 2 && var.worker_concurrency <= 1000
    error_message = "worker_concurrency must be from 2 to 1000: Lambda accepts no other maximum."
  }
}

variable "public" {
  description = "Let anybody who reaches the HTTP API order, in any name. Otherwise it needs a jwt_authorizer."
  type        = bool
  default     = false

  validation {
    condition     = var.compute != "lambda" || var.public != (var.jwt_authorizer != null)
    error_message = "Say who may order: jwt_authorizer for customers with a token, or public = true for anybody, in any name. Not both."
  }
}

variable "jwt_authorizer" {
  description = "Issuer and audience of the JSON Web Tokens that customers order with. An order then has the token's sub as its customerId."
  type        = object({ issuer = string, audience = set(string) })
  default     = null

  validation {
    condition     = var.jwt_authorizer == null ? true : can(regex("^(https://|http://127\\.0\\.0\\.1:)[^\\s?#]+$", var.jwt_authorizer.issuer)) && length(var.jwt_authorizer.audience) > 0
    error_message = "jwt_authorizer needs an issuer, which is an https address (on a local AWS also one on loopback), and at least one audience."
  }
}

variable "domain" {
  description = "Domain name of the HTTP API, and the ARN of its certificate in the same region; null for the name that AWS gives it. The DNS record is yours to make: output api_domain_target."
  type        = object({ name = string, certificate_arn = string })
  default     = null
}

variable "disable_execute_api_endpoint" {
  description = "Answer at the domain only, not at the name that AWS gives the HTTP API."
  type        = bool
  default     = false

  validation {
    condition     = !var.disable_execute_api_endpoint || var.domain != null
    error_message = "disable_execute_api_endpoint needs a domain: otherwise the API answers nowhere."
  }
}

variable "api_throttles" {
  description = "Requests that the HTTP API answers, else with 429. all: the whole API; ops: the operator's page; streams: each kind of stream. rate: requests a second; burst: requests at once above that. ops and streams count towards all, too."
  default     = {}

  type = object({
    all     = optional(object({ rate = number, burst = number }), { rate = 500, burst = 1000 })
    ops     = optional(object({ rate = number, burst = number }), { rate = 10, burst = 20 })
    streams = optional(object({ rate = number, burst = number }), { rate = 50, burst = 100 })
  })
}

variable "service_settings" {
  description = "Additional environment variables of a service or of the relay, such as { payment = { PAYMENT_SUCCESS_RATE = \"1\" } }."
  type        = map(map(string))
  default     = {}
  sensitive   = true

  validation {
    condition     = length(setsubtract(keys(var.service_settings), local.services)) == 0
    error_message = "service_settings names a service that does not exist: the services are those of schemas/catalog.json, and relay."
  }

  validation {
    condition = alltrue(flatten([
      for settings in values(var.service_settings) : [
        for name, bounds in local.setting_bounds :
        try(tonumber(settings[name]) >= bounds[0] && tonumber(settings[name]) <= bounds[1], false) if contains(keys(settings), name)
      ]
    ]))
    error_message = "A number in service_settings is outside its bounds: ${join(", ", [for name, bounds in local.setting_bounds : "${name} from ${bounds[0]} to ${bounds[1]}"])}."
  }

  validation {
    condition     = !anytrue([for settings in values(var.service_settings) : contains(keys(settings), "OPS_TOKEN")])
    error_message = "OPS_TOKEN in service_settings could be read in Terraform's state. Put it into an SSM parameter, and name that in ops_token_parameter."
  }
}

variable "ops_token_parameter" {
  description = "Name of the SSM parameter (a SecureString) with the operator's token, which turns the page /ops on and gives the Order Service an operator's rights; null for no page."
  type        = string
  default     = null

  validation {
    condition     = var.ops_token_parameter == null || can(regex("^[a-zA-Z0-9_./-]+$", var.ops_token_parameter))
    error_message = "ops_token_parameter must be the name of an SSM parameter, such as /shopflow/ops-token."
  }
}

variable "reserved_concurrency" {
  description = "Concurrent executions that are reserved for the API and for the relay, and that are also their limit; null for the account's common pool. AWS keeps 100 of the account's limit for all other functions."
  type        = object({ order = optional(number), relay = optional(number) })
  default     = {}
}

variable "pinned_versions" {
  description = "The version at which a function stays, by service, such as { order = \"3\" }: to roll out consumers before producers, or to roll back one service. The output live_versions says what runs."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.pinned_versions), local.services)) == 0 && alltrue([for version in values(var.pinned_versions) : can(regex("^[0-9]+$", version))])
    error_message = "pinned_versions must be version numbers by service, such as { order = \"3\" }."
  }
}

variable "log_retention_days" {
  description = "Days that the log lines of functions and API are kept."
  type        = number
  default     = 30
}
