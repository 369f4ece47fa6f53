"""The contracts of integrations, their registry, and the one error mapping and HTTP client."""
