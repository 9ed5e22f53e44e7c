"""The gateway: published APIs become HAProxy's maps, and every call is decided on the node that serves it.

Control side: `nodes`, `feed` and `current` tell gateway nodes the plan. Node side: `node/` (the agent)
and `haproxy/` (what HAProxy is given). They meet in `plan/`.
"""

from ostiary.gateway.errors import InvalidNodeKeys
from ostiary.gateway.feed import PlanFeed
from ostiary.gateway.nodes import (
    ensure_embedded_node,
    every_node_knows_key,
    find_node_by_credential,
    published_node_keys,
    register_node_keys,
    rotate_node_keys,
)
from ostiary.gateway.repository import NodeRecord
from ostiary.gateway.settings import GatewaySettings, NodeSettings

__all__ = [
    "GatewaySettings",
    "InvalidNodeKeys",
    "NodeRecord",
    "NodeSettings",
    "PlanFeed",
    "ensure_embedded_node",
    "every_node_knows_key",
    "find_node_by_credential",
    "published_node_keys",
    "register_node_keys",
    "rotate_node_keys",
]
