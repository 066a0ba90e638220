"""About what: certificate types, templates, issuance, the library and its verification."""
