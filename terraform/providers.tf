# The same for a local AWS and for real AWS: tflocal overrides endpoints and credentials for a local one.
provider "aws" {
  region = var.region # null: that of the environment or of the AWS profile

  default_tags {
    tags = merge(var.tags, {
      Project   = "shopflow"
      Stack     = var.name_prefix
      ManagedBy = "terraform"
    })
  }
}
