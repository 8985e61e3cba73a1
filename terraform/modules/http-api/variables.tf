variable "name" {
  description = "Name of the API."
  type        = string
}

variable "description" {
  description = "What the API serves, in a few words."
  type        = string
}

variable "function" {
  description = "The alias of the function that answers requests."
  type        = object({ name = string, function_name = string, invoke_arn = string })
}

variable "requests_per_second" {
  description = "Requests a second that the API takes. Above it, when the burst is used up too, it answers 429."
  type        = number
}

variable "burst_requests" {
  description = "Requests that the API takes at once, above the rate."
  type        = number
}

variable "throttles" {
  description = "Throttles of the operator's page (ops) and of each kind of stream. rate: requests a second; burst: requests at once above that. They count towards the API's throttle, too."
  type = object({
    ops     = object({ rate = number, burst = number })
    streams = object({ rate = number, burst = number })
  })
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
