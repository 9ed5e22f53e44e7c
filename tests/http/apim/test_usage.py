"""GET /api/apim/v1/usage."""

from typing import Any

import pytest
from tests.http.apim.things import Management

from ostiary.apim import Used, add_usage
from ostiary.foundation.database import write_engine

FIRST = 490_000
"""2025-11-24T16:00Z."""


@pytest.fixture
def of(acme: Management, orders: dict[str, Any]) -> dict[str, Any]:
    """A subscription that was used in two hours of one day and one of the next."""
    subscription = acme.a_subscription(orders)
    ids = (subscription["api_id"], subscription["application_id"], subscription["id"])
    engine = write_engine(acme.database_url)
    with engine.begin() as connection:
        hours = ((FIRST, 3), (FIRST + 1, 4), (FIRST + 24, 5))
        add_usage(connection, [Used(hour, *ids, calls, 10 * calls) for hour, calls in hours])
        add_usage(connection, [Used(FIRST, ids[0], "", "", 2, 20)])
    engine.dispose()
    return subscription


ALL = "from=2025-11-24&to=2025-11-26"


def test_usage_is_shown_by_api_unless_asked_otherwise(acme: Management, of: dict[str, Any]):
    assert acme.ok("GET", f"/usage?{ALL}") == {
        "from": "2025-11-24T00:00:00Z",
        "to": "2025-11-26T00:00:00Z",
        "total": 1,
        "offset": 0,
        "items": [{"api_id": of["api_id"], "calls": 14, "bytes": 140}],
    }


def test_usage_by_application_and_day(acme: Management, of: dict[str, Any]):
    mobile = of["application_id"]

    assert acme.ok("GET", f"/usage?{ALL}&by=application,day")["items"] == [
        {"application_id": mobile, "day": "2025-11-24T00:00:00Z", "calls": 7, "bytes": 70},
        {"application_id": None, "day": "2025-11-24T00:00:00Z", "calls": 2, "bytes": 20},
        {"application_id": mobile, "day": "2025-11-25T00:00:00Z", "calls": 5, "bytes": 50},
    ]


def test_hours_are_whole_and_the_last_is_not_cut(acme: Management, of: dict[str, Any]):
    span = "from=2025-11-24T17:59:59Z&to=2025-11-24T17:59:59.5Z"

    assert acme.ok("GET", f"/usage?{span}&by=hour") == {
        "from": "2025-11-24T17:00:00Z",
        "to": "2025-11-24T18:00:00Z",
        "total": 1,
        "offset": 0,
        "items": [{"hour": "2025-11-24T17:00:00Z", "calls": 4, "bytes": 40}],
    }


def test_usage_of_one_api_or_application(acme: Management, of: dict[str, Any]):
    one = f"&application_id={of['application_id']}&api_id={of['api_id']}&by=subscription"

    assert acme.ok("GET", f"/usage?{ALL}{one}")["items"] == [
        {"subscription_id": of["id"], "calls": 12, "bytes": 120}
    ]
    assert acme.ok("GET", f"/usage?{ALL}&api_id=another")["items"] == []


def test_usage_is_read_in_parts(acme: Management, of: dict[str, Any]):
    part = acme.ok("GET", f"/usage?{ALL}&by=hour&limit=1&offset=1")

    assert (part["total"], part["offset"], [item["calls"] for item in part["items"]]) == (3, 1, [4])


def test_everything_is_one_sum(acme: Management, of: dict[str, Any]):
    assert acme.ok("GET", f"/usage?{ALL}&by=")["items"] == [{"calls": 14, "bytes": 140}]


def test_the_last_day_is_asked_for_unless_said_otherwise(acme: Management, of: dict[str, Any]):
    assert acme.ok("GET", "/usage")["items"] == []


@pytest.mark.usefixtures("of")
def test_another_organizations_usage_is_not_there(default: Management):
    assert default.ok("GET", f"/usage?{ALL}")["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("by=weather", "by: expected some of api, application, subscription, hour, day, found 'weather'"),
        ("by=hour,day", "by: expected one of the two"),
        ("from=2025-11-24&to=2025-11-23", "to: expected a later one"),
        ("from=yesterday", "from: "),
        ("to=%00", "to: "),
        ("api_id=%00", "api_id: "),
        ("limit=0", "limit: "),
        ("from=-999999999999-01-01", "from: "),
    ],
)
def test_a_question_that_cannot_be_answered_names_its_field(acme: Management, query: str, field: str):
    status, text = acme.refusal("GET", f"/usage?{query}")

    assert (status, text[: len(field)]) == (400, field)


@pytest.mark.parametrize("query", ["from=0001-01-01&to=9999-12-31", "from=-62135596800", "to=1e11"])
def test_no_time_is_too_far(acme: Management, query: str):
    assert acme.call("GET", f"/usage?{query}").status_code in (200, 400)
