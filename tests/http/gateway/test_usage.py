"""POST /internal/gateway/v1/usage: what nodes let through."""

from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from tests.http.gateway.gateway import Gateway
from tests.support.identity import BOX

from ostiary import apim
from ostiary.apim.repository.usage import UsageQuery
from ostiary.apim.usage import read_usage
from ostiary.foundation.clock import utc_now
from ostiary.gateway import ensure_embedded_node
from ostiary.gateway.repository import remove_node

HOUR = 490_000
STREAM = "00000000-0000-4000-8000-0000000000ff"
ELSEWHERE = "99999999-9999-4999-8999-999999999999"


async def send(
    gateway: Gateway, *usage: dict[str, Any], sequence: Any = 1, stream: str = STREAM
) -> httpx2.Response:
    body = {"stream": stream, "sequence": sequence, "usage": list(usage)}
    return await gateway.http.post("/internal/gateway/v1/usage", json=body)


async def a_subscription(gateway: Gateway) -> apim.Subscription:
    api, application = await gateway.an_api(), await gateway.an_application("Mobile", "mobile")
    return await gateway.a_subscription(application, api)


def used(of: apim.Subscription, calls: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "hour": HOUR,
        "api_id": of.api_id,
        "application_id": of.application_id,
        "subscription_id": of.id,
        "calls": calls,
        "bytes": 100 * calls,
    } | changes


async def sums(
    gateway: Gateway, *by: str, organization_id: str | None = None
) -> list[tuple[dict[str, Any], int, int]]:
    query = UsageQuery(HOUR - 48, HOUR + 48, by)
    here = organization_id or gateway.organization_id
    rows, _ = await gateway.installation.database.read(lambda c: read_usage(c, here, query))
    return [(dict(row.of), row.calls, row.bytes) for row in rows]


async def test_what_was_called_is_counted(on_both: Gateway):
    of = await a_subscription(on_both)

    answer = await send(on_both, used(of, 3), used(of, 2, hour=HOUR + 1))

    assert answer.json() == {"repeated": False, "counted": 2, "unknown": 0}
    assert await sums(on_both, "api", "application", "subscription") == [
        ({"api_id": of.api_id, "application_id": of.application_id, "subscription_id": of.id}, 5, 500)
    ]
    assert await sums(on_both, "hour") == [({"hour": HOUR}, 3, 300), ({"hour": HOUR + 1}, 2, 200)]


async def test_counts_of_several_reports_and_nodes_are_added(on_both: Gateway):
    of = await a_subscription(on_both)
    await send(on_both, used(of, 3))
    await send(on_both, used(of, 4), sequence=2)
    other = "credential-of-another-node"
    await on_both.write(lambda c: ensure_embedded_node(c, SecretStr(other), BOX, utc_now()))
    on_both.http.headers["Authorization"] = f"Bearer {other}"
    await send(on_both, used(of, 5), sequence=1)

    assert await sums(on_both) == [({}, 12, 1200)]


async def test_a_report_sent_again_counts_once(on_both: Gateway):
    """The answer to the first may have been lost, or it may have arrived at another worker."""
    of = await a_subscription(on_both)
    await send(on_both, used(of, 3), sequence=7)

    again, earlier = await send(on_both, used(of, 3), sequence=7), await send(on_both, used(of, 3))

    assert again.json() == earlier.json() == {"repeated": True, "counted": 0, "unknown": 0}
    assert await sums(on_both) == [({}, 3, 300)]


async def test_a_node_that_lost_its_file_begins_a_new_row_of_numbers(gateway: Gateway):
    of = await a_subscription(gateway)
    await send(gateway, used(of, 3), sequence=7)

    answer = await send(gateway, used(of, 3), sequence=1, stream=ELSEWHERE)

    assert answer.json()["repeated"] is False
    assert await sums(gateway) == [({}, 6, 600)]


async def test_a_node_that_has_reported_can_be_removed(on_both: Gateway):
    of = await a_subscription(on_both)
    await send(on_both, used(of, 3))

    await on_both.write(lambda c: remove_node(c, on_both.node.id))

    assert await sums(on_both) == [({}, 3, 300)]


async def test_the_same_thing_twice_in_one_report_is_added(on_both: Gateway):
    of = await a_subscription(on_both)
    await send(on_both, used(of, 3), used(of, 4))

    assert await sums(on_both) == [({}, 7, 700)]


async def test_an_api_that_is_not_there_is_not_counted(on_both: Gateway):
    of = await a_subscription(on_both)

    answer = await send(on_both, used(of, 3), used(of, 4, api_id=ELSEWHERE))

    assert answer.json() == {"repeated": False, "counted": 1, "unknown": 1}
    assert await sums(on_both) == [({}, 3, 300)]


async def test_things_that_do_not_belong_together_are_not_counted(gateway: Gateway):
    of = await a_subscription(gateway)
    api = await gateway.an_api("/parcels")

    answer = await send(gateway, used(of, api_id=api.id))

    assert answer.json() == {"repeated": False, "counted": 0, "unknown": 1}


async def test_what_is_gone_is_counted_for_its_api(on_both: Gateway):
    """Calls that were let through before the subscription ended are reported after it did."""
    of = await a_subscription(on_both)
    here = on_both.organization_id
    await on_both.write(lambda c: apim.unsubscribe(c, here, of.id))

    await send(on_both, used(of, 3), used(of, 2, application_id=None, subscription_id=None))

    assert await sums(on_both, "application", "subscription") == [
        ({"application_id": of.application_id, "subscription_id": ""}, 3, 300),
        ({"application_id": "", "subscription_id": ""}, 2, 200),
    ]


async def test_usage_is_an_organizations_own(gateway: Gateway):
    of = await a_subscription(gateway)
    await send(gateway, used(of, 3))

    assert await sums(gateway, "api", organization_id=ELSEWHERE) == []


GARBAGE: dict[str, tuple[dict[str, Any], str]] = {
    "negative": ({"calls": -1}, "usage.0.calls"),
    "text": ({"calls": "3"}, "usage.0.calls"),
    "fraction": ({"bytes": 1.5}, "usage.0.bytes"),
    "too large": ({"bytes": 2**60}, "usage.0.bytes"),
    "future": ({"hour": 2**40}, "usage.0.hour"),
    "nul": ({"api_id": "a\x00b"}, "usage.0.api_id"),
    "long": ({"subscription_id": "a" * 37}, "usage.0.subscription_id"),
    "more": ({"organization_id": ELSEWHERE}, "usage.0.organization_id"),
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_is_refused_by_the_name_of_its_field(gateway: Gateway, name: str):
    of = await a_subscription(gateway)
    changes, field = GARBAGE[name]

    answer = await send(gateway, used(of, 4) | changes)

    assert answer.status_code in (400, 422)
    assert field.rpartition(".")[2] in answer.text
    assert await sums(gateway) == []


@pytest.mark.parametrize("sequence", [0, -1, "1", None, 2**60])
async def test_a_report_without_a_good_number_is_refused(gateway: Gateway, sequence: Any):
    assert (await send(gateway, sequence=sequence)).status_code in (400, 422)


async def test_a_report_is_of_bounded_size(gateway: Gateway):
    of = await a_subscription(gateway)

    assert (await send(gateway, *[used(of)] * 1001)).status_code in (400, 422)
    assert await sums(gateway) == []


async def test_nobody_but_a_node_reports(gateway: Gateway):
    of = await a_subscription(gateway)
    gateway.http.headers["Authorization"] = "Bearer nobody"

    assert (await send(gateway, used(of))).status_code == 401


async def test_old_usage_is_forgotten(on_both: Gateway):
    of = await a_subscription(on_both)
    await send(on_both, used(of, 1, hour=HOUR - 1), used(of, 2))

    more = await on_both.write(lambda c: apim.forget_usage(c, datetime.fromtimestamp(HOUR * 3600, UTC)))

    assert not more
    assert await sums(on_both) == [({}, 2, 200)]
