# The stage for customers, beside aws.tfvars: terraform apply -var-file=aws.tfvars -var-file=stages/production.tfvars
name_prefix = "shopflow"
compute     = "lambda"
