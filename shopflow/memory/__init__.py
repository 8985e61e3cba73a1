"""The ports in memory: faithful twins of `shopflow.aws` under a clock that the caller turns."""
