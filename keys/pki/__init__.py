"""X.509 for P-256 and SM2: authorities, profiles, certificates and revocation lists."""
