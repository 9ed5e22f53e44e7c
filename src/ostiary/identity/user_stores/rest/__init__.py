"""Login services of organizations, spoken to over HTTP.

`settings.py` says what can be set, `templates.py` which forms are ready, `service.py` logs people in.
"""
