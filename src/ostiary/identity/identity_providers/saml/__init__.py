"""SAML 2.0 assertions that a client brings (RFC 7522): who may have signed them, for whom they are, of whom.

`signature` reads XML and lets out only what was signed; `assertion` judges that and nothing else.
"""
