"""Offline data: corpora -> records -> instances of typed segments -> packed rows in shards."""
