"""SCIM 2.0 (RFC 7643, RFC 7644): users and roles for provisioning clients (ADR 0018).

The library scim2-server speaks the protocol; here is what it means: `representation` maps people, `users`
and `roles` are the use cases, `filters` what can be searched for, `storage` the transactions.
"""

from ostiary.identity.scim.schemas import LARGEST_BULK, PROVIDER
from ostiary.identity.scim.service import Handler, Service
from ostiary.identity.scim.storage import Caller, Storage

__all__ = ["LARGEST_BULK", "PROVIDER", "Caller", "Handler", "Service", "Storage"]
