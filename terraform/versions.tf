terraform {
  required_version = ">= 1.9.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # Each stack has a state file of its own: `terraform init -backend-config=path=…`. Without that option it is
  # terraform.tfstate in this folder.
  backend "local" {}
}
