"""Evidence: an append-only audit trail in an RFC 9162 Merkle log with signed checkpoints."""
