"""Who someone is: people, organisations, credentials, assurance and the OpenID provider."""
