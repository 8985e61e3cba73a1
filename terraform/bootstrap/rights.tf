# What the two roles may do. `plan` reads, `apply` writes, too. Both see only resources whose names start with the prefix.
# The exceptions are calls that AWS knows no such resource for, and HTTP APIs, whose ARNs have no names.

locals {
  any = "${var.name_prefix}-*"

  named = {
    cloudwatch = ["arn:${local.partition}:cloudwatch:${local.here}:alarm:${local.any}", "arn:${local.partition}:cloudwatch::${local.account}:dashboard/${var.name_prefix}*"]
    dynamodb   = ["arn:${local.partition}:dynamodb:${local.here}:table/${local.any}"]
    events     = ["arn:${local.partition}:events:${local.here}:rule/${local.any}"]
    iam        = ["arn:${local.partition}:iam::${local.account}:role/${local.any}", "arn:${local.partition}:iam::${local.account}:policy/${local.any}"]
    lambda     = ["arn:${local.partition}:lambda:${local.here}:function:${local.any}"]
    logs       = [for group in ["lambda", "apigateway"] : "arn:${local.partition}:logs:${local.here}:log-group:/aws/${group}/${local.any}"]
    sns        = ["arn:${local.partition}:sns:${local.here}:${local.any}"]
    sqs        = ["arn:${local.partition}:sqs:${local.here}:${local.any}"]
    apigateway = [for path in ["apis", "domainnames", "tags"] : "arn:${local.partition}:apigateway:${data.aws_region.current.name}::/${path}*"]
  }

  others_of_services = [
    "arn:${local.partition}:kms:${local.here}:key/*",
    "arn:${local.partition}:ses:${local.here}:identity/*",
    "arn:${local.partition}:ssm:${local.here}:parameter/${var.name_prefix}*",
  ]

  reads = {
    apigateway = ["apigateway:GET"]
    cloudwatch = ["cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource"]
    dynamodb   = ["dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:GetResourcePolicy", "dynamodb:ListTagsOfResource"]
    events     = ["events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"]
    iam        = ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListPolicyVersions", "iam:ListRolePolicies"]
    lambda     = ["lambda:GetAlias", "lambda:GetFunction", "lambda:GetFunctionCodeSigningConfig", "lambda:GetFunctionConcurrency", "lambda:GetFunctionConfiguration", "lambda:GetPolicy", "lambda:ListTags", "lambda:ListVersionsByFunction"]
    logs       = ["logs:ListTagsForResource"]
    sns        = ["sns:GetSubscriptionAttributes", "sns:GetTopicAttributes", "sns:ListTagsForResource"]
    sqs        = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags"]
  }

  writes = {
    apigateway = ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT"]
    cloudwatch = ["cloudwatch:DeleteAlarms", "cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource"]
    dynamodb   = ["dynamodb:CreateTable", "dynamodb:DeleteResourcePolicy", "dynamodb:DeleteTable", "dynamodb:PutResourcePolicy", "dynamodb:TagResource", "dynamodb:UntagResource", "dynamodb:UpdateContinuousBackups", "dynamodb:UpdateTable"]
    events     = ["events:DeleteRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource", "events:UntagResource"]
    iam        = ["iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:DeleteRole", "iam:TagPolicy", "iam:TagRole", "iam:UntagPolicy", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole"]
    lambda     = ["lambda:AddPermission", "lambda:CreateAlias", "lambda:CreateFunction", "lambda:DeleteAlias", "lambda:DeleteFunction", "lambda:DeleteFunctionConcurrency", "lambda:InvokeFunction", "lambda:PublishVersion", "lambda:PutFunctionConcurrency", "lambda:RemovePermission", "lambda:TagResource", "lambda:UntagResource", "lambda:UpdateAlias", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"]
    logs       = ["logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DeleteRetentionPolicy", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource"]
    sns        = ["sns:CreateTopic", "sns:DeleteTopic", "sns:SetSubscriptionAttributes", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource", "sns:Unsubscribe", "sns:UntagResource"]
    sqs        = ["sqs:CreateQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"]
  }

  read = concat(
    [for service, actions in local.reads : { Sid = "Read${title(service)}", Action = actions, Resource = local.named[service] }],
    [
      {
        Sid      = "ReadWhatHasNoName"
        Action   = ["cloudwatch:DescribeAlarms", "lambda:GetEventSourceMapping", "lambda:ListTags", "logs:DescribeLogGroups"]
        Resource = "*"
      },
      {
        Sid      = "ReadState"
        Action   = ["s3:GetObject", "s3:ListBucket"]
        Resource = [aws_s3_bucket.state.arn, "${aws_s3_bucket.state.arn}/*"]
      },
    ],
  )

  write = concat(
    [for service, actions in local.writes : { Sid = "Write${title(service)}", Action = actions, Resource = local.named[service] }],
    [
      {
        Sid       = "GiveRolesRightsWithinTheBoundary"
        Action    = ["iam:AttachRolePolicy", "iam:CreateRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
        Resource  = local.named.iam
        Condition = { StringEquals = { "iam:PermissionsBoundary" = aws_iam_policy.boundary.arn } }
      },
      {
        Sid       = "LetFunctionsHaveRoles"
        Action    = "iam:PassRole"
        Resource  = local.named.iam
        Condition = { StringEquals = { "iam:PassedToService" = "lambda.amazonaws.com" } }
      },
      {
        Sid       = "LetQueuesInvokeFunctions"
        Action    = ["lambda:CreateEventSourceMapping", "lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping"]
        Resource  = "*"
        Condition = { ArnLike = { "lambda:FunctionArn" = local.named.lambda } }
      },
      {
        Sid      = "TagMappings"
        Action   = ["lambda:TagResource", "lambda:UntagResource"]
        Resource = "arn:${local.partition}:lambda:${local.here}:event-source-mapping:*"
      },
      {
        Sid = "LetHttpApisWriteLogs" # AWS has no resources for these actions
        Action = [
          "logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeResourcePolicies", "logs:GetLogDelivery",
          "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery",
        ]
        Resource = "*"
      },
      {
        Sid      = "WriteState"
        Action   = ["s3:DeleteObject", "s3:PutObject"]
        Resource = "${aws_s3_bucket.state.arn}/*"
      },
    ],
  )
}
