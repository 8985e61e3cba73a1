"""The ports in memory: twins that behave as `shopflow.aws`, under a clock that the caller advances."""
