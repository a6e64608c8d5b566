"""Who asks: small clients of both APIs, operators, an attacker, and who reads past the service."""
