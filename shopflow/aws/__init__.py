"""The ports on AWS: the only importer of boto3."""
