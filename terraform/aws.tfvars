# What every stage on AWS has. stages/ has the rest, and alarm_emails says who gets the alarms.
require_tls            = true
point_in_time_recovery = true
deletion_protection    = true
alarms                 = true
