variable "github_repository" {
  description = "The repository whose workflow deploys, as owner/name."
  type        = string

  validation {
    condition     = can(regex("^[^/*]+/[^/*]+$", var.github_repository))
    error_message = "github_repository must be owner/name."
  }
}

variable "github_provider_arn" {
  description = "ARN of the account's identity provider for GitHub; null to create it. An account can have only one."
  type        = string
  default     = null
}

variable "stages" {
  description = "The stages, which are files in terraform/stages/ and environments in GitHub."
  type        = set(string)
  default     = ["staging", "production"]
}

variable "name_prefix" {
  description = "First part of the names of all stages' resources."
  type        = string
  default     = "shopflow"
}
