# The stage for trials, beside aws.tfvars: terraform apply -var-file=aws.tfvars -var-file=stages/staging.tfvars
name_prefix         = "shopflow-staging"
compute             = "lambda"
deletion_protection = false
public              = true        # anybody may order
payment_gateway     = "simulated" # takes no money
