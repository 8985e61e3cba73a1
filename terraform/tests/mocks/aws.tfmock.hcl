# The answers of the mocked AWS, for all tests. Values that are not here are unique texts made up by Terraform. Here are
# those whose form the provider checks, and those that names are built from.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_region" {
  defaults = { name = "eu-west-1" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:stack-orders" }
}

mock_resource "aws_iam_policy" {
  defaults = { arn = "arn:aws:iam::123456789012:policy/stack-operator" }
}

override_resource {
  target = aws_dynamodb_table.this["orders"]
  values = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/stack-orders" }
}

override_resource {
  target = aws_dynamodb_table.this["inventory"]
  values = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/stack-inventory" }
}

override_resource {
  target = aws_dynamodb_table.this["events"]
  values = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/stack-events" }
}
