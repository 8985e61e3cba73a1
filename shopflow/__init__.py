"""What ShopFlow's services share.

Imports point one way: ``api``, ``workers`` and ``scripts`` import ``shopflow``, never each other;
``shopflow.domain`` imports nothing but the standard library; only ``shopflow.aws`` imports boto3.
"""
