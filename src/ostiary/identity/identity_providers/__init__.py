"""Identity providers: outside parties that say who somebody is by an assertion. We never see a password.

One is a row among the user stores (ADR 0027): its people have names, groups, roles and an end like everybody
else's. What differs is how they come, and that is here.
"""
