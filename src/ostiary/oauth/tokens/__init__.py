"""Access and refresh tokens: issuing, verifying, revoking (RFC 6749 §1.4, §1.5, RFC 9068)."""
