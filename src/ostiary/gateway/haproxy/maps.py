"""The structure of the gateway as HAProxy maps: which path is which API, its resources, the minimum epochs.

A pure function of the gateway plan. Maps that change at run time are sharded by hash, because `set map` is
linear in HAProxy 2.8. APIs are sharded by organization and first segment of their context, so that one
longest-prefix look-up finds the route. Resources are addressed by their content: a change adds the new
chunks, then moves the route to them, then removes the old ones, and no call sees half of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final
from zlib import crc32

from ostiary.gateway.haproxy.decisions import MapEntry, encode
from ostiary.gateway.haproxy.denied import DENIED_MAP, denied_entries
from ostiary.gateway.haproxy.others import OTHERS_MAP, OTHERS_SHARDS
from ostiary.gateway.haproxy.own import KEY_TYPES, Own, needs_own, not_served, own_backend, own_name
from ostiary.gateway.haproxy.resources import (
    Resolve,
    Unsupported,
    chunks,
    limit_value,
    resources_value,
    targets,
)
from ostiary.gateway.haproxy.shards import route_shard_of, shard_name, shard_of
from ostiary.gateway.plan import API, CORS, Epoch, GatewayPlan, Kind

MAPS: Final = "maps"
"""The folder of the map files, beside the configuration: HAProxy runs in the folder of its sockets, so every
path it sees is short and has no surprising character."""
PLAN_MAP: Final = "plan.map"
PLAN_KEY: Final = "number"
ROUTE_SHARDS: Final = 64
RESOURCE_SHARDS: Final = 64
FLOOR_SHARDS: Final = 64
EPOCH_SHARDS: Final = 256
DECISION_SHARDS: Final = 256
_FORMAT: Final = "3"
_ARRIVAL: Final = (DENIED_MAP, "epochs", "floors", "resources", "routes")
_CREDENTIALS: Final = frozenset({"oauth2", "api_key"})
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]{1,200}")
_STATES: Final = frozenset({"CREATED", "PROTOTYPED", "PUBLISHED", "BLOCKED", "DEPRECATED", "RETIRED"})
DENIED: Final = "DENIED"
"""The state of an API that a deny policy names: every call is refused."""
UNSUPPORTED: Final = "UNSUPPORTED"
"""The state of an API that says something this node cannot enforce: every call is refused."""


def map_files() -> tuple[str, ...]:
    """Name every map file the gateway's HAProxy loads; each must exist before it starts."""
    sharded = {
        "routes": ROUTE_SHARDS,
        "resources": RESOURCE_SHARDS,
        "epochs": EPOCH_SHARDS,
        "floors": FLOOR_SHARDS,
        "decisions": DECISION_SHARDS,
        "others": OTHERS_SHARDS,
    }
    return (
        PLAN_MAP,
        DENIED_MAP,
        OTHERS_MAP,
        *(shard_name(family, number) for family in sharded for number in range(sharded[family])),
    )


def structure_maps(plan: GatewayPlan, resolve: Resolve, own: Own = not_served) -> dict[str, dict[str, str]]:
    """Draw every structure map that has entries, as file name → key → value.

    The files of `map_files()` that are not in the answer are empty.
    """
    maps: dict[str, dict[str, str]] = {}
    for api in sorted(plan.apis.values(), key=lambda one: (one.state != "RETIRED", one.id)):
        _put(maps, api_entries(plan, api, resolve, own))
    _put(maps, _epoch_entries(plan.epochs.values()))
    _put(maps, denied_entries(plan.denials.values()))
    return maps


def structure_changes(
    before: GatewayPlan,
    after: GatewayPlan,
    touched: Iterable[tuple[str, str]],
    resolve: Resolve,
    own: Own = not_served,
) -> list[MapEntry]:
    """Say which map entries to set and delete, in order, to get from one plan to the next.

    `touched` is the (kind, id) of every entry of the change. Entries may be set to the value they have.
    """
    kinds = list(touched)
    apis = _touched_apis(before, after, kinds)
    epochs = {id for kind, id in kinds if kind == Kind.EPOCH}
    old = [*_entries_of(before, apis, _nothing), *_epochs_of(before, epochs)]
    new = [*_epochs_of(after, epochs), *_entries_of(after, apis, resolve, own)]
    if any(kind == Kind.DENIAL for kind, _ in kinds):
        old += denied_entries(before.denials.values())
        new += denied_entries(after.denials.values())
    kept = {(entry.map, entry.key) for entry in new}
    gone = [MapEntry(entry.map, entry.key, None) for entry in old if (entry.map, entry.key) not in kept]
    return [*sorted(new, key=_arrival), *sorted(gone, key=_arrival, reverse=True)]


def _arrival(entry: MapEntry) -> int:
    """Restrictions first, and nothing before what it points to; things leave the other way round."""
    return _ARRIVAL.index(entry.map.partition("-")[0])


def resolution_changes(
    plan: GatewayPlan, host_changed: Iterable[str], resolve: Resolve, own: Own = not_served
) -> list[MapEntry]:
    """Say which entries to set after the addresses of these host names changed."""
    names = tuple(host_changed)
    return [
        entry
        for api in plan.apis.values()
        if any(name in url for url in (*api.backend.production, *api.backend.sandbox) for name in names)
        for entry in api_entries(plan, api, resolve, own)
    ]


def unsupported(plan: GatewayPlan, api: API) -> str | None:
    """Say why this node refuses every call to `api`; `None` when it understands it."""
    refusals = plan.refusals(api)
    if refusals:
        return "unknown: " + ", ".join(sorted(refusals))
    try:
        _body(api, _nothing, not_served)
    except Unsupported as reason:
        return str(reason)
    return None


def api_entries(plan: GatewayPlan, api: API, resolve: Resolve, own: Own = not_served) -> list[MapEntry]:
    """Draw one API: its chunks of resources, then the route that points to them."""
    organization = plan.organizations.get(api.organization_id)
    prefix = _prefix(api)
    if organization is None or prefix is None:
        return []  # no path leads to it: 404
    understood = not plan.refusals(api)
    try:
        state, (resources, *body) = api.state, _body(api, resolve, own)
    except Unsupported:
        understood = False
    if not understood:
        state, resources, body = UNSUPPORTED, [], ["-", "-", ""]
    elif plan.denies(api.organization_id, "API", api.id):
        state = DENIED
    digest = hashlib.sha256("|".join(resources).encode()).hexdigest()[:16]
    shard = shard_name("resources", crc32(api.id.encode()) % RESOURCE_SHARDS)
    pieces = [MapEntry(shard, f"{api.id}.{digest}.{n}", piece) for n, piece in enumerate(resources, 1)]
    head = (encode(api.id), state, encode(api.organization_id))
    where = (shard[len("resources-") : -len(".map")], digest, str(len(resources)))
    floor = floor_map(api.organization_id)[len("floors-") : -len(".map")]
    routes = []
    for path in (prefix, prefix.removesuffix(f"/{api.version}")) if api.default_version else (prefix,):
        value = _sealed("|".join((*head, str(len(path)), floor, *where, *body)))
        routes.append(MapEntry(route_map(organization.name, path), f"{organization.name}{path}/", value))
    return [*pieces, *routes]


def _sealed(value: str) -> str:
    """Put the digest before a value under which `apis.lua` keeps what it has read of it."""
    return f"{_FORMAT}|{hashlib.sha256(value.encode()).hexdigest()[:24]}|{value}"


def route_map(organization: str, path: str) -> str:
    """Name the map that routes `path` (without `/t/{organization}`)."""
    first = path.split("/", 2)[1]
    return shard_name("routes", route_shard_of(organization, first, ROUTE_SHARDS))


def floor_map(organization_id: str) -> str:
    """Name the map that holds the organization's highest minimum epoch."""
    return shard_name("floors", crc32(organization_id.encode()) % FLOOR_SHARDS)


def epoch_key(organization_id: str, kind: str, key: str) -> str:
    """Return the key of a minimum epoch; an organization has one, whatever it is filed under."""
    if kind == "organization":
        key = organization_id
    return f"{encode(organization_id)}:{kind}:{encode(key)}"


def _body(api: API, resolve: Resolve, own: Own) -> tuple[list[str], str, str, str]:
    """Write the chunks of resources, both kinds of targets, and what is said by name (`name=value,…`)."""
    if api.state not in _STATES:
        raise Unsupported(f"state {api.state}")
    resources = chunks(resources_value(api.resources)) if api.resources else []
    production, sandbox = (targets_of(api, key_type, resolve, own) for key_type in KEY_TYPES)
    return resources, production, sandbox, ",".join(_said(api))


def targets_of(api: API, key_type: str, resolve: Resolve, own: Own = not_served) -> str:
    """Write where calls with one type of keys go.

    Raises:
        Unsupported: an address, or something about the backend, that cannot be configured.
    """
    backend, urls = api.backend, getattr(api.backend, key_type)
    if not needs_own(backend, urls):
        return targets(urls, resolve, backend.timeout_ms)
    own_backend(api, key_type, resolve)
    item = own(own_name(api.id, key_type))
    return item if backend.timeout_ms is None or item[0] != "@" else f"={backend.timeout_ms},{item}"


def shared_targets(api: API, resolve: Resolve) -> dict[str, str]:
    """Write where calls go that need no backend of the API's own, by the name such a backend would have."""
    found = {}
    for key_type in KEY_TYPES:
        urls = getattr(api.backend, key_type)
        if urls and not needs_own(api.backend, urls):
            with suppress(Unsupported):
                found[own_name(api.id, key_type)] = targets(urls, resolve, api.backend.timeout_ms)
    return found


def _said(api: API) -> Iterator[str]:
    if api.limit is not None:
        yield f"limit={limit_value(api.limit)}"
    if not api.security or not set(api.security) <= _CREDENTIALS:
        raise Unsupported(f"credentials {', '.join(api.security) or 'of no kind'}")
    if api.security != ("oauth2",):
        yield f"accepts={'+'.join(sorted(api.security))}"
    if not api.cors.enabled:
        yield "cors=off"
    elif api.cors != CORS():
        lists = (api.cors.origins, api.cors.methods, api.cors.headers)
        written = ":".join("+".join(map(encode, values)) for values in lists)
        yield f"cors={written}:{int(api.cors.credentials)}"


def _prefix(api: API) -> str | None:
    """`/context/version`, or `None` when no path that hygiene lets through could reach it."""
    segments = [*api.context.strip("/").split("/"), api.version]
    if not _PLAIN.fullmatch(api.id):
        return None
    if any(one in {".", ".."} or not _PLAIN.fullmatch(one) for one in segments):
        return None
    return "/" + "/".join(segments)


def _epoch_entries(epochs: Iterable[Epoch]) -> list[MapEntry]:
    floors: dict[str, int] = {}
    entries: dict[str, int] = {}
    for epoch in epochs:
        floors[epoch.organization_id] = max(epoch.minimum, floors.get(epoch.organization_id, 0))
        key = epoch_key(epoch.organization_id, epoch.kind, epoch.key)
        entries[key] = max(epoch.minimum, entries.get(key, 0))
    minimums = [
        MapEntry(shard_name("epochs", shard_of(key, EPOCH_SHARDS)), key, str(minimum))
        for key, minimum in entries.items()
    ]
    return [
        *minimums,
        *(MapEntry(floor_map(one), encode(one), _digits(floor)) for one, floor in floors.items()),
    ]


def _digits(floor: int) -> str:
    """Write a floor as decisions write their epochs; none of those is all `f`."""
    return f"{min(floor, 0xFFFF_FFFF):08x}"


def _epochs_of(plan: GatewayPlan, touched: set[str]) -> list[MapEntry]:
    """The touched minimums and the floors of their organizations."""
    if not touched:
        return []
    organizations = {one.partition(":")[0] for one in touched}
    mine = [epoch for epoch in plan.epochs.values() if epoch.organization_id in organizations]
    keys = {epoch_key(epoch.organization_id, epoch.kind, epoch.key) for epoch in mine if epoch.id in touched}
    return [entry for entry in _epoch_entries(mine) if entry.map.startswith("floors") or entry.key in keys]


def _touched_apis(before: GatewayPlan, after: GatewayPlan, touched: list[tuple[str, str]]) -> set[str]:
    known = frozenset(Kind)
    if any(kind not in known for kind, _ in touched):
        return {*before.apis, *after.apis}  # what is barred may be anything
    ids = {id for kind, id in touched if kind == Kind.API}
    organizations = {id for kind, id in touched if kind == Kind.ORGANIZATION}
    for id in (id for kind, id in touched if kind == Kind.DENIAL):
        known_denials = [plan.denials[id] for plan in (before, after) if id in plan.denials]
        ids |= {denial.value for denial in known_denials if denial.condition == "API"}
        for plan in (before, after):
            if (Kind.DENIAL.value, id) in plan.barred:
                return {*before.apis, *after.apis}
    if organizations:
        both = (*before.apis.values(), *after.apis.values())
        ids |= {api.id for api in both if api.organization_id in organizations}
    return ids


def _entries_of(plan: GatewayPlan, ids: set[str], resolve: Resolve, own: Own = not_served) -> list[MapEntry]:
    apis = [plan.apis[id] for id in sorted(ids) if id in plan.apis]
    return [entry for api in apis for entry in api_entries(plan, api, resolve, own)]


def _nothing(_host: str, _port: int) -> tuple[str, ...]:
    return ()


def _put(maps: dict[str, dict[str, str]], entries: Iterable[MapEntry]) -> None:
    for entry in entries:
        if entry.value is not None:
            maps.setdefault(entry.map, {})[entry.key] = entry.value


def files(maps: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Write maps as the text of every file of `map_files()`, empty ones included."""
    return {
        name: "".join(f"{key} {value}\n" for key, value in maps.get(name, {}).items()) for name in map_files()
    }
