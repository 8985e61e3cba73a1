# Nothing here is local or AWS: tflocal overrides the endpoints and credentials of this block for a local AWS.
provider "aws" {
  region = var.region

  default_tags {
    tags = merge(var.tags, {
      Project   = "shopflow"
      Stack     = var.name_prefix
      ManagedBy = "terraform"
    })
  }
}
