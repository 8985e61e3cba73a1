# What an account needs once, before its first deployment from GitHub: a bucket for Terraform's state, and two roles that
# a workflow assumes without stored keys. One plans, the other applies. An administrator applies this, with local state.

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  partition = data.aws_partition.current.partition
  account   = data.aws_caller_identity.current.account_id
  here      = "${data.aws_region.current.name}:${local.account}"
  github    = "token.actions.githubusercontent.com"

  # Each role, with the GitHub environments that may assume it (.github/workflows/deploy.yml).
  roles = {
    plan  = [for stage in var.stages : "${stage}-plan"]
    apply = var.stages
  }
}

resource "aws_s3_bucket" "state" {
  #checkov:skip=CKV_AWS_18:Reads and writes of the state are in CloudTrail
  #checkov:skip=CKV_AWS_144:A state that is lost with its region describes resources that are lost with it
  #checkov:skip=CKV_AWS_145:S3 encrypts it with its own key
  #checkov:skip=CKV2_AWS_61:Old versions of a state are small, and the way back from a mistake
  #checkov:skip=CKV2_AWS_62:Nothing has to happen when the state changes
  bucket = "${var.name_prefix}-state-${local.account}"
}

resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  bucket                  = aws_s3_bucket.state.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_provider_arn == null ? 1 : 0

  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

# Its name does not start with name_prefix and a hyphen: so the role cannot change itself.
resource "aws_iam_role" "this" {
  for_each = local.roles

  name        = "deploy-${var.name_prefix}-${each.key}"
  description = "What GitHub runs as to ${each.key} ShopFlow."

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = coalesce(var.github_provider_arn, one(aws_iam_openid_connect_provider.github[*].arn)) }
      Condition = { StringEquals = {
        "${local.github}:aud" = "sts.amazonaws.com"
        "${local.github}:sub" = [for name in each.value : "repo:${var.github_repository}:environment:${name}"]
      } }
    }]
  })
}

# Two policies, because AWS allows 6,144 characters in each.
resource "aws_iam_policy" "this" {
  for_each = { read = local.read, write = local.write }

  name        = "deploy-${var.name_prefix}-${each.key}"
  description = "What a deployment may ${each.key} of ShopFlow's stacks, whose names start with ${var.name_prefix}."
  policy      = jsonencode({ Version = "2012-10-17", Statement = [for one in each.value : merge(one, { Effect = "Allow" })] })
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = { plan-read = ["plan", "read"], apply-read = ["apply", "read"], apply-write = ["apply", "write"] }

  role       = aws_iam_role.this[each.value[0]].name
  policy_arn = aws_iam_policy.this[each.value[1]].arn
}

# The most that a role of a stack can do, whatever its policy says. Without this boundary, a deployer could give a
# function's role any right, and so do anything in the account.
resource "aws_iam_policy" "boundary" {
  name        = "deploy-${var.name_prefix}-boundary"
  description = "The most that a service of ShopFlow may do."

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["dynamodb:*", "logs:CreateLogStream", "logs:PutLogEvents", "ses:SendEmail", "sns:Publish", "sqs:*", "ssm:GetParameter", "kms:Decrypt", "kms:GenerateDataKey"]
      Resource = concat(flatten([local.named.dynamodb, local.named.sns, local.named.sqs, local.named.logs]), local.others_of_services)
    }]
  })
}
