"""POST /internal/gateway/v1/counts: one limit over several nodes."""

from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from tests.http.gateway.gateway import CREDENTIAL, Gateway
from tests.support.identity import BOX

from ostiary.foundation.clock import utc_now
from ostiary.gateway import ensure_embedded_node

OTHER = "credential-of-another-node"


async def exchange(
    gateway: Gateway, counts: Any, windows: Any = ("7",), credential: str = CREDENTIAL
) -> httpx2.Response:
    return await gateway.http.post(
        "/internal/gateway/v1/counts",
        json={"windows": windows, "counts": counts},
        headers={"Authorization": f"Bearer {credential}"},
    )


@pytest.fixture
async def two(on_both: Gateway) -> Gateway:
    await on_both.write(lambda c: ensure_embedded_node(c, SecretStr(OTHER), BOX, utc_now()))
    return on_both


async def test_a_node_is_told_what_the_others_counted(two: Gateway):
    await exchange(two, {"a|7": 3, "b|7": 1, "a|6": 9})

    heard = (await exchange(two, {"a|7": 5}, credential=OTHER)).json()["counts"]
    back = (await exchange(two, {"a|7": 4})).json()["counts"]

    assert heard == {"a|7": 3, "b|7": 1}
    assert back == {"a|7": 5}


async def test_what_was_said_last_counts(two: Gateway):
    await exchange(two, {"a|7": 3, "b|7": 1})
    await exchange(two, {"a|7": 4})

    assert (await exchange(two, None, credential=OTHER)).json()["counts"] == {"a|7": 4}


async def test_a_node_alone_is_told_so(gateway: Gateway):
    await gateway.plan(after=1)

    assert (await exchange(gateway, None)).json() == {"nodes": 1, "counts": {}}


async def test_every_live_node_is_one_of_them(two: Gateway):
    await two.plan(after=1)
    two.http.headers["Authorization"] = f"Bearer {OTHER}"
    await two.plan(after=1)

    assert (await exchange(two, {})).json()["nodes"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {"counts": {"a|7": -1}},
        {"counts": {"a|7": "3"}},
        {"counts": {"a|7": 2**60}},
        {"counts": {"a\x00|7": 1}},
        {"counts": {"": 1}},
        {"counts": {"a" * 121: 1}},
        {"counts": {str(n): 1 for n in range(20_001)}},
        {"counts": [1]},
        {"counts": {}, "windows": ["minute"]},
        {"counts": {}, "windows": ["1"] * 11},
        {"counts": {}, "more": 1},
    ],
)
async def test_garbage_is_refused(gateway: Gateway, body: dict[str, Any]):
    answer = await gateway.http.post("/internal/gateway/v1/counts", json={"windows": ["7"]} | body)

    assert answer.status_code in (400, 422)


async def test_nobody_but_a_node_may_ask(gateway: Gateway):
    assert (await exchange(gateway, {}, credential="nobody")).status_code == 401
