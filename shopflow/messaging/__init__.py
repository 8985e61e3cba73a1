"""From a queue to a handler and on to the topic. Knows ports, not boto3."""
