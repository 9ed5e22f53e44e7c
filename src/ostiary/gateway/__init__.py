"""The gateway: published APIs become HAProxy's maps, and every call is decided on the node that serves it.

Control side: `feed` and `current` tell gateway nodes the plan, `nodes` knows the nodes. Node side: `node/`
(the agent) and `haproxy/` (what HAProxy is given). They meet in `plan/`. The agent's process imports this
module too, so nothing here imports the slices the plan is drawn from.
"""

from ostiary.gateway.enrolment import (
    CONTROL_PLANE_NAME,
    EnrolmentToken,
    ensure_authority,
    find_enrolled_node,
    list_nodes,
)
from ostiary.gateway.explanations import forget_explanations, note_explanations
from ostiary.gateway.haproxy import (
    ControlPlanes,
    GatewayListener,
    Listener,
    NodeListener,
    gateway_config,
    management_config,
    map_files,
)
from ostiary.gateway.node.identity import NodeIdentity, NotEnrolled, address_of, checked_url, enrol
from ostiary.gateway.node.own import prepare_own
from ostiary.gateway.nodes import (
    ensure_embedded_node,
    every_node_knows_key,
    find_node_by_credential,
    rotate_node_keys,
)
from ostiary.gateway.personal_data import PERSONAL_DATA
from ostiary.gateway.repository import NodeRecord
from ostiary.gateway.row_events import ROWS_IN_THE_PLAN
from ostiary.gateway.settings import GatewaySettings, NodeSettings
from ostiary.gateway.supervise import (
    BadConfiguration,
    HAProxy,
    HAProxyUnusable,
    find_haproxy,
    is_quiet,
    system_ca,
)

__all__ = [
    "CONTROL_PLANE_NAME",
    "PERSONAL_DATA",
    "ROWS_IN_THE_PLAN",
    "BadConfiguration",
    "ControlPlanes",
    "EnrolmentToken",
    "GatewayListener",
    "GatewaySettings",
    "HAProxy",
    "HAProxyUnusable",
    "Listener",
    "NodeIdentity",
    "NodeListener",
    "NodeRecord",
    "NodeSettings",
    "NotEnrolled",
    "address_of",
    "checked_url",
    "enrol",
    "ensure_authority",
    "ensure_embedded_node",
    "every_node_knows_key",
    "find_enrolled_node",
    "find_haproxy",
    "find_node_by_credential",
    "forget_explanations",
    "gateway_config",
    "is_quiet",
    "list_nodes",
    "management_config",
    "map_files",
    "note_explanations",
    "prepare_own",
    "rotate_node_keys",
    "system_ca",
]
