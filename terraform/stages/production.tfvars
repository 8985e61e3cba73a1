# The stage for customers, beside aws.tfvars: terraform apply -var-file=aws.tfvars -var-file=stages/production.tfvars
# It also needs jwt_authorizer (who may order) and payment_gateway: the apply says so.
name_prefix = "shopflow"
compute     = "lambda"
# jwt_authorizer  = { issuer = "https://customers.example", audience = ["shop"] }
# payment_gateway = "simulated" # takes no money
