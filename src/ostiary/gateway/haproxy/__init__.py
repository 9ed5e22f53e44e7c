"""HAProxy as the data plane: a gateway plan becomes `haproxy.cfg` and maps, and Lua decides over the maps.

Everything here is pure; `node/` writes the files, talks to the running process and answers misses.
Publisher text appears only in map values, every part of it percent-encoded, never in the configuration.

Maps, in one folder. Every file of `map_files()` exists, possibly empty, before HAProxy starts; none that
changes while it runs grows above about 1,000 entries at the sizes of the budget:

* `plan.map`: `number` → the plan's number, set **last** and only at run time (the file stays empty). A worker
  without it holds calls for a moment, then answers 503.
* `routes-XX.map`: organization/context/version/ → the API: its state, targets, … (`structure_maps`), after a
  digest of all that; of a default version organization/context/ too.
* `denied.map`: a prefix of addresses → the organizations that deny it (`denied_entries`).
* `resources-XX.map`: API id.digest.n → a chunk of the API's resources (`structure_maps`).
* `epochs-XX.map`: organization id:kind:key, encoded → the minimum epoch (`structure_maps`).
* `floors-XX.map`: organization id → the highest minimum of the organization, in eight hexadecimal digits:
  tokens at or above it need no look-up (`structure_maps`).
* `decisions-XX.map`: API id:sha256(credential) in hex → `encode_decision(Decision)`. Grants only, written by
  the agent; XX are the first two digits of the hash (`decision_entry`). The hash of an API key has a `k`
  before it, and where its calls may come from is in the value.

* `others.map`, `others-XX.map`: what others count against the limits enforced here (`others.py`).

The structure's files are written to disk, for the next start or reload, as well as changed in every live
worker. Changes go in the order `structure_changes` gives them (what is new, what points to it, what is gone).
Decisions of a worker that a reload started are whatever the agent puts there; empty is correct.

What is decided about a call is one text, described in `outcomes.lua`.

The miss protocol. `decide.lua` asks the agent when it has no usable decision (none stored, expired, or below
a minimum epoch), over HTTP on the agent's unix socket, with a deadline of 800 ms for each question. Where
only the control plane knows, the answer `relay` comes at once, and the question is asked again, as one that
may be relayed::

    POST /decide HTTP/1.1
    Content-Type: application/json

    {"api":"<API id>","credential_sha256":"<64 hex digits>","credential":"<b64token>","address":"<client IP>",
     "request":"<request id>","relayed":<whether the control plane may be asked: true or false>}

Of an API key there is the hash alone; `credential` is empty. The answer is `200`, `text/plain`, one of::

    grant                                 and in the next line the encoded decision
    refuse <name>                         one of the names in AGENT_REFUSALS, e.g. `refuse invalid_token`
    relay                                 the control plane has to be asked: ask again, with `relayed` true

Anything else (another status, time-out, no agent) is answered 503 with `Retry-After` and never lets a call
through. The same checks (expiry, epochs, organization, scopes, target) are done on a granted decision as on
a stored one, so a grant below a minimum epoch is refused too. Only the agent stores decisions. Concurrent
misses of one credential arrive concurrently: the agent makes them one flight. Resource scopes and throttling
are no concern of the agent: a decision holds for (API, credential), for every resource of the API.
"""

from ostiary.gateway.haproxy.decisions import (
    AGENT_REFUSALS,
    Decision,
    MapEntry,
    Quota,
    decision_entry,
    decision_key,
    encode_decision,
    shard,
)
from ostiary.gateway.haproxy.hygiene import PROTOCOL_PATH
from ostiary.gateway.haproxy.lasting import STREAMS_MAP, read_noted, read_streams
from ostiary.gateway.haproxy.maps import (
    MAPS,
    PLAN_KEY,
    PLAN_MAP,
    api_entries,
    files,
    map_files,
    resolution_changes,
    shared_targets,
    structure_changes,
    structure_maps,
    unsupported,
)
from ostiary.gateway.haproxy.others import OTHERS_MODE, others_entry, others_mode
from ostiary.gateway.haproxy.own import (
    OWN_CONFIG,
    OWN_FILES,
    OWN_MAP,
    OwnBackend,
    own_backends,
    own_config,
    own_map,
    own_name,
    with_system_ca,
)
from ostiary.gateway.haproxy.render import (
    ControlPlanes,
    GatewayListener,
    Listener,
    NodeListener,
    gateway_config,
    management_config,
)
from ostiary.gateway.haproxy.resources import Resolve

__all__ = [
    "AGENT_REFUSALS",
    "MAPS",
    "OTHERS_MODE",
    "OWN_CONFIG",
    "OWN_FILES",
    "OWN_MAP",
    "PLAN_KEY",
    "PLAN_MAP",
    "PROTOCOL_PATH",
    "STREAMS_MAP",
    "ControlPlanes",
    "Decision",
    "GatewayListener",
    "Listener",
    "MapEntry",
    "NodeListener",
    "OwnBackend",
    "Quota",
    "Resolve",
    "api_entries",
    "decision_entry",
    "decision_key",
    "encode_decision",
    "files",
    "gateway_config",
    "management_config",
    "map_files",
    "others_entry",
    "others_mode",
    "own_backends",
    "own_config",
    "own_map",
    "own_name",
    "read_noted",
    "read_streams",
    "resolution_changes",
    "shard",
    "shared_targets",
    "structure_changes",
    "structure_maps",
    "unsupported",
    "with_system_ca",
]
