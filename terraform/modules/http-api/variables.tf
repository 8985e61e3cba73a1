variable "name" {
  description = "Name of the API."
  type        = string
}

variable "function" {
  description = "The alias of the function that answers requests."
  type        = object({ name = string, function_name = string, invoke_arn = string })
}

variable "throttles" {
  description = "Requests that are answered, else with 429. all: the whole API; ops: the operator's page; streams: each kind of stream. rate: requests a second; burst: requests at once above that. ops and streams count towards all, too."
  type        = map(object({ rate = number, burst = number }))
}

variable "jwt_authorizer" {
  description = "Issuer and audience of the JSON Web Tokens that customers order with; null if nobody needs one."
  type        = object({ issuer = string, audience = set(string) })
  default     = null
}

variable "domain" {
  description = "Domain name of the API, and the ARN of its certificate in the same region; null for the name that AWS gives it."
  type        = object({ name = string, certificate_arn = string })
  default     = null
}

variable "disable_execute_api_endpoint" {
  description = "Answer at the domain only, not at the name that AWS gives the API."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days that the access log is kept."
  type        = number
}
