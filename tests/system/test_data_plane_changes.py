"""Changes of maps, made on a real HAProxy."""

from collections.abc import Iterator

import pytest
from tests.system.data_plane import DataPlane, an_api, an_organization, running

from ostiary.gateway.haproxy import MapEntry, structure_maps
from ostiary.gateway.plan import Entry, GatewayPlan

CALL = "/t/my_company/later/1.0.0/x"


@pytest.fixture
def plane() -> Iterator[DataPlane]:
    with running(an_organization(), an_api(production=["http://backend"])) as plane:
        yield plane


def _entries(plane: DataPlane, state: str) -> list[MapEntry]:
    """What the maps say of another API in this state."""
    later: Entry = an_api(
        "later", context="/later", state=state, production=[f"http://127.0.0.1:{plane.backend.port}"]
    )
    maps = structure_maps(GatewayPlan().apply(1, [an_organization(), later]), lambda *_: ())
    return [MapEntry(name, key, value) for name, entries in maps.items() for key, value in entries.items()]


def test_an_api_that_is_made_and_published_in_one_go_is_published(plane: DataPlane):
    """Both are new to a worker that was busy: it once kept the first beside the second, and answered 404."""
    made = _entries(plane, "CREATED")
    (route,) = [entry for entry in _entries(plane, "PUBLISHED") if entry not in made]

    plane.set(*made, route)

    assert plane.show(route.map) == [f"{route.key} {route.value}"]
    assert plane.get(CALL).status == 401


def test_what_is_made_changed_and_removed_in_one_go_is_not_there(plane: DataPlane):
    made, published = _entries(plane, "CREATED"), _entries(plane, "PUBLISHED")
    changed = [entry for entry in published if entry not in made]

    plane.set(*made, *changed, *(MapEntry(one.map, one.key, None) for one in published))

    assert plane.get(CALL).status == 404
