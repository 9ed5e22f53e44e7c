"""What every slice stands on: time, secrets, database, outbox, outbound HTTP, web, logs.

Knows no product noun. Nothing here imports another slice.
"""
