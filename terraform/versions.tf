terraform {
  required_version = ">= 1.9.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # The path is left to `terraform init -backend-config=path=…`, so that each stack keeps its own state file;
  # without it the state is terraform.tfstate, here.
  backend "local" {}
}
