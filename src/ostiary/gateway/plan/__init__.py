"""The gateway plan: the neutral, frozen picture of everything a gateway node needs to decide a call.

The control plane renders it (`planner.py`), a node keeps it (`node/`), HAProxy's maps are drawn from it
(`haproxy/`). Nothing in here does I/O.

A node may be one version older than the control plane. What it does not know may be a restriction, so it
is never skipped: `GatewayPlan.refusals` names the reasons why an API must be refused.
"""

from ostiary.gateway.plan.picture import SCHEMA_VERSION, GatewayPlan, PlanAnswer
from ostiary.gateway.plan.things import (
    API,
    CORS,
    APIKey,
    Application,
    Backend,
    Client,
    Denial,
    Epoch,
    Key,
    Kind,
    Limit,
    Node,
    Organization,
    Plan,
    Resource,
    Revocation,
    Subscription,
    Thing,
)
from ostiary.gateway.plan.wire import (
    NEVER,
    TIME_HEADER,
    BadPlan,
    Entry,
    content_digest,
    epoch_id,
    read,
    to_wire,
)

__all__ = [
    "API",
    "CORS",
    "NEVER",
    "SCHEMA_VERSION",
    "TIME_HEADER",
    "APIKey",
    "Application",
    "Backend",
    "BadPlan",
    "Client",
    "Denial",
    "Entry",
    "Epoch",
    "GatewayPlan",
    "Key",
    "Kind",
    "Limit",
    "Node",
    "Organization",
    "Plan",
    "PlanAnswer",
    "Resource",
    "Revocation",
    "Subscription",
    "Thing",
    "content_digest",
    "epoch_id",
    "read",
    "to_wire",
]
