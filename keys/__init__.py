"""The floor: custody of keys, PKI, trusted time and evidence. Imports no other package of the house."""
