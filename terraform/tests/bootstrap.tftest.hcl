# The roles that deploy (terraform/bootstrap). The provider is mocked.

mock_provider "aws" {
  source = "./tests/mocks"

  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::shopflow-state-123456789012" }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }
}

variables {
  github_repository = "example/shopflow"
}

run "a_deployment_reaches_what_has_the_prefix_and_gives_no_rights_beyond_the_boundary" {
  module {
    source = "./bootstrap"
  }

  assert {
    condition     = alltrue([for policy in aws_iam_policy.this : length(policy.policy) <= 6144])
    error_message = "AWS refuses a policy of more than 6,144 characters."
  }

  assert {
    condition = toset(flatten([
      for policy in aws_iam_policy.this : [for statement in jsondecode(policy.policy).Statement : statement.Sid if contains(flatten([statement.Resource]), "*") && !can(statement.Condition)]
    ])) == toset(["ReadWhatHasNoName", "LetHttpApisWriteLogs"])
    error_message = "A deployment may touch what is not ShopFlow's."
  }

  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_iam_policy.this["write"].policy).Statement : statement.Action
      if try(statement.Condition.StringEquals["iam:PermissionsBoundary"], null) == aws_iam_policy.boundary.arn
    ])) == toset([for action in ["AttachRolePolicy", "CreateRole", "DeleteRolePolicy", "DetachRolePolicy", "PutRolePermissionsBoundary", "PutRolePolicy"] : "iam:${action}"])
    error_message = "A deployment can give a role rights beyond the boundary."
  }

  assert {
    condition = { for name, role in aws_iam_role.this : name => jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] } == {
      plan  = ["repo:example/shopflow:environment:production-plan", "repo:example/shopflow:environment:staging-plan"]
      apply = ["repo:example/shopflow:environment:production", "repo:example/shopflow:environment:staging"]
    }
    error_message = "Something else than the environments of the repository can deploy."
  }
}

run "every_repository_of_an_owner_is_refused" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    github_repository = "example/*"
  }

  expect_failures = [var.github_repository]
}
