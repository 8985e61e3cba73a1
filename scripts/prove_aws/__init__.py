"""`make prove-aws`: a throw-away stack, from its first resource to the last one removed."""
