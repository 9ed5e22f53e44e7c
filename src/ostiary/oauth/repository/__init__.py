"""Every SQL statement of the slice, one module a noun. Each takes a connection and names the organization."""
