"""Users in somebody else's tables: `settings.py` says what can be set, `service.py` logs people in."""
