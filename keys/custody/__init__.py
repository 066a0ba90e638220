"""Custody of keys: they are made, wrapped and used here, and never leave."""
