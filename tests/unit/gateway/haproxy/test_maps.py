"""The structure's maps: what a change of the plan changes, in which order, and what is refused."""

from typing import Any

import pytest

from ostiary.gateway.haproxy import (
    MapEntry,
    files,
    map_files,
    resolution_changes,
    structure_changes,
    structure_maps,
    unsupported,
)
from ostiary.gateway.haproxy.maps import epoch_key
from ostiary.gateway.plan import Entry, GatewayPlan

Address = dict[str, tuple[str, ...]]


def _resolve(host: str, _port: int) -> tuple[str, ...]:
    return {"one.example": ("192.0.2.1",)}.get(host, ())


def _organization(name: str = "my_company") -> Entry:
    return Entry("organization", "o", {"name": name, "issuer": "i", "audience": "a"})


def _api(id: str = "a", **changed: Any) -> Entry:
    value = {
        "organization_id": "o",
        "name": "Orders",
        "context": "/orders",
        "version": "1",
        "state": "PUBLISHED",
        "backend": {"production": ["http://one.example"], "sandbox": []},
        "resources": [{"method": "GET", "path": "/{id}", "scopes": []}],
    }
    return Entry("api", id, value | changed)


def _epoch(minimum: int, key: str = "client:mobile") -> Entry:
    return Entry("epoch", f"o:{key}", {"minimum": minimum})


def _plan(*entries: Entry) -> GatewayPlan:
    return GatewayPlan().apply(1, entries)


def _changes(before: GatewayPlan, *entries: Entry) -> tuple[GatewayPlan, list[MapEntry]]:
    after = before.apply(before.number + 1, entries)
    return after, structure_changes(before, after, [(one.kind, one.id) for one in entries], _resolve)


def _applied(maps: dict[str, dict[str, str]], changes: list[MapEntry]) -> dict[str, dict[str, str]]:
    result = {name: dict(entries) for name, entries in maps.items()}
    for change in changes:
        if change.value is None:
            result.get(change.map, {}).pop(change.key, None)
        else:
            result.setdefault(change.map, {})[change.key] = change.value
    return {name: entries for name, entries in result.items() if entries}


BASE = (_organization(), _api(), _api("b", context="/other"), _epoch(3))


@pytest.mark.parametrize(
    "change",
    [
        [_api(version="2")],
        [_api(context="/moved/deeper")],
        [_api(state="RETIRED")],
        [_api(resources=[])],
        [_api(resources=[{"method": "GET", "path": f"/{n}", "scopes": ["s" * 40]} for n in range(900)])],
        [_api(backend={"production": [], "sandbox": ["https://one.example/x"]})],
        [_api("c", context="/third")],
        [Entry("api", "a", None)],
        [Entry("api", "a", None), _api("d")],
        [Entry("organization", "o", None)],
        [_organization("renamed")],
        [Entry("organization", "o", {"name": "my_company", "issuer": "i", "audience": "a", "new": 1})],
        [Entry("mystery", "m", {"api_id": "a"})],
        [Entry("mystery", "m", {})],
        [_epoch(4)],
        [_epoch(9, "subject:s")],
        [Entry("epoch", "o:client:mobile", None)],
        [Entry("plan", "p", {"organization_id": "o", "name": "Gold", "requests": 1, "per": "day"})],
    ],
)
def test_changes_lead_to_what_the_whole_plan_would_give(change: list[Entry]):
    before = _plan(*BASE)
    maps = structure_maps(before, _resolve)

    after, changes = _changes(before, *change)

    assert _applied(maps, changes) == structure_maps(after, _resolve)


def test_new_resources_are_there_before_the_route_and_old_ones_leave_after_it():
    before = _plan(*BASE)

    _, changes = _changes(before, _api(resources=[{"method": "PUT", "path": "/", "scopes": []}]))

    assert [(change.map.split("-")[0], change.value is None) for change in changes] == [
        ("resources", False),
        ("routes", False),
        ("resources", True),
    ]


def test_a_change_of_one_api_touches_no_other():
    _, changes = _changes(_plan(*BASE), _api(state="BLOCKED"))

    assert all("other" not in change.key and not change.key.startswith("b.") for change in changes)


def test_a_new_address_changes_the_route_alone():
    plan = _plan(*BASE)
    moved = resolution_changes(plan, ["one.example"], lambda *_: ("192.0.2.2",))

    routes = [change for change in moved if change.map.startswith("routes")]
    assert len(routes) == 2
    assert all("192.0.2.2" in str(change.value) for change in routes)
    assert resolution_changes(plan, ["two.example"], _resolve) == []


def test_the_floor_is_the_highest_minimum_of_the_organization():
    maps = structure_maps(_plan(*BASE, _epoch(9, "subject:s")), _resolve)

    floors = [entries for name, entries in maps.items() if name.startswith("floors")]
    assert floors == [{"o": "00000009"}]


def test_an_organization_has_one_minimum_whatever_it_is_filed_under():
    assert epoch_key("o", "organization", "o") == epoch_key("o", "organization", "my_company")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"new_rule": 1}, "unknown: new_rule"),
        (
            {"resources": [{"method": "GET", "path": "/x", "scopes": [], "cost": 2}]},
            "unknown: resources.cost",
        ),
        ({"resources": [{"method": "get", "path": "/x", "scopes": []}]}, "method 'get'"),
        ({"state": "SUNSET"}, "state SUNSET"),
        (
            {"backend": {"production": ["ftp://x"], "sandbox": []}},
            "a backend address is an absolute http or https URL",
        ),
    ],
)
def test_what_cannot_be_enforced_is_refused_and_said(changed: dict[str, Any], reason: str):
    plan = _plan(_organization(), _api(**changed))
    (route,) = [
        value
        for name, entries in structure_maps(plan, _resolve).items()
        if name.startswith("routes")
        for value in entries.values()
    ]

    assert unsupported(plan, plan.apis["a"]) == reason
    assert route.split("|")[3] == "UNSUPPORTED"


def test_what_can_be_enforced_is_not_refused():
    plan = _plan(*BASE)

    assert unsupported(plan, plan.apis["a"]) is None


@pytest.mark.parametrize("context", ["", "/", "/a//b", "/..", "/a;b", "/a b", "/caf%C3%A9", "/a\nb", "/ä"])
def test_a_context_no_plain_path_leads_to_has_no_route(context: str):
    assert structure_maps(_plan(_organization(), _api(context=context)), _resolve) == {}


def test_a_retired_api_does_not_hide_its_successor():
    plan = _plan(_organization(), _api("z", state="RETIRED"), _api("a"))

    routes = [
        value
        for name, entries in structure_maps(plan, _resolve).items()
        if name.startswith("routes")
        for value in entries.values()
    ]
    assert [value.split("|")[2:4] for value in routes] == [["a", "PUBLISHED"]]


def test_every_map_is_a_file_and_the_run_time_ones_are_empty():
    written = files(structure_maps(_plan(*BASE), _resolve))

    assert tuple(written) == map_files()
    assert all(text == "" for name, text in written.items() if name.startswith(("decisions", "plan")))


def test_apis_spread_over_maps_of_bearable_size():
    apis = [_api(f"api-{n}", context=f"/context-{n}") for n in range(10_000)]

    maps = structure_maps(_plan(_organization(), *apis), _resolve)

    assert max(len(entries) for entries in maps.values()) < 1000
