"""Schema migrations (Alembic), applied by `ostiary serve` and `ostiary db upgrade`."""
