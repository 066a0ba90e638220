"""Whom we trust beside ourselves: authorities of others, approved by two people, and the signed list of them all."""
