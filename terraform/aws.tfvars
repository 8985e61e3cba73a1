# Settings for a stack on AWS: terraform apply -var-file=aws.tfvars
require_tls            = true
point_in_time_recovery = true
deletion_protection    = true
alarms                 = true
