"""LDAP and Active Directory: `settings.py` says what can be set, `service.py` logs people in."""
