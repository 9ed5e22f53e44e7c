"""Login services of any shape: what they are sent, and what their answers mean."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.http_service import Answer, Seen
from tests.support.login_shapes import LEGACY, Stores, agent, ask, legacy, record_of

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import InvalidUserStore
from ostiary.identity.user_stores.contract import UserRecord
from ostiary.identity.user_stores.rest.settings import RESTSettings
from ostiary.identity.user_stores.steps import watched


async def test_a_service_of_its_own_shape_is_understood(shaped: Stores):
    service = await shaped.service(legacy)
    store = shaped.store(url=service.url, **LEGACY)

    assert await record_of(store) == UserRecord(
        "4711", "testuser", frozenset({"sales"}), {"email": "testuser@legacy.example"}
    )
    assert await ask(store, password="wrong") == "refused"
    assert await ask(store, "ghost") == "refused"


async def test_the_agents_protocol_is_ready(shaped: Stores):
    service = await shaped.service(agent)
    store = shaped.store(
        url=f"{service.url}/wso2agent", template="agent", claims={"email": "mail", "tel": "phone"}
    )

    record = await record_of(store)

    assert record.groups == {"sales", "stars"}
    assert record.claims == {"email": "mail of testuser", "tel": "phone of testuser"}
    assert await ask(store, password="wrong") == "certainly refused"
    assert await ask(store, "ghost") == "unknown"
    assert await ask(store, "gh/ost?x=y#z") == "unknown"
    assert service.seen[-1].target == "/wso2agent/users/gh%2Fost%3Fx%3Dy%23z/exists"


ANSWERS: dict[str, tuple[Answer, str]] = {
    "accepted": ((200, {"result": {"code": 0, "userId": "x"}}), "accepted"),
    "refused": ((200, {"result": {"code": 7}}), "refused"),
    "another code": ((200, {"result": {"code": 1}}), "unavailable: not_the_agreed_form"),
    "a text for a number": ((200, {"result": {"code": "0"}}), "unavailable: not_the_agreed_form"),
    "no answer to the question": ((200, {}), "unavailable: not_the_agreed_form"),
    "no object": ((200, [1]), "unavailable: not_the_agreed_form"),
    "a member twice": ((200, b'{"result":{"code":7,"code":0}}'), "unavailable: not_the_agreed_form"),
    "no number": ((200, b'{"result":{"code":NaN}}'), "unavailable: not_the_agreed_form"),
    "deep": ((200, b"[" * 30_000), "unavailable: not_the_agreed_form"),
    "another encoding": ((200, '{"x":"é"}'.encode("latin-1")), "unavailable: not_the_agreed_form"),
    "HTML": ((200, b"<html>"), "unavailable: not_the_agreed_form"),
    "empty": ((200, b""), "unavailable: not_the_agreed_form"),
    "no id": ((200, {"result": {"code": 0}}), "unavailable: response.id finds nothing in the answer"),
    "an object for an id": (
        (200, {"result": {"code": 0, "userId": {}}}),
        "unavailable: response.id finds nothing in the answer",
    ),
    "no list of groups": (
        (200, {"result": {"code": 0, "userId": 1, "groups": {"a": 1}}}),
        "unavailable: response.groups finds no list of texts",
    ),
    "numbers for groups": (
        (200, {"result": {"code": 0, "userId": 1, "groups": [1]}}),
        "unavailable: response.groups finds no list of texts",
    ),
    "another status": ((201, {"result": {"code": 0, "userId": "x"}}), "unavailable: status_201"),
    "our fault": ((401, {"result": {"code": 0, "userId": "x"}}), "unavailable: status_401"),
    "its fault": ((500, {"result": {"code": 0, "userId": "x"}}), "unavailable: status_500"),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_only_what_the_conditions_say_is_an_answer(shaped: Stores, what: str):
    answer, outcome = ANSWERS[what]
    service = await shaped.service(lambda _: answer)

    assert await ask(shaped.store(url=service.url, **LEGACY)) == outcome


async def test_both_conditions_at_once_are_no_answer(shaped: Stores):
    service = await shaped.service(lambda _: (200, {"ok": True, "bad": True}))
    response = {"accepted": "ok", "refused": "bad"}
    store = shaped.store(url=service.url, request=LEGACY["request"], response=response)

    assert await ask(store) == "unavailable: not_the_agreed_form"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(204, "accepted"), (403, "refused"), (404, "unknown"), (418, "unavailable: status_418")],
)
async def test_statuses_alone_may_say_it(shaped: Stores, status: int, outcome: str):
    service = await shaped.service(lambda _: (status, b""))
    response = {"accepted_status": [204], "refused_status": [401, 403], "unknown_status": [404]}
    store = shaped.store(url=service.url, request=LEGACY["request"], response=response)

    assert await ask(store) == outcome


async def test_a_second_request_tells_more(shaped: Stores):
    def answer(request: Seen) -> Answer:
        if request.method == "POST":
            return 200, {"ok": True, "uid": "u 1/2"}
        assert request.target == "/people/u%201%2F2?fields=mail&who=testuser"
        return 200, {"memberships": ["a", "b"], "mail": ["x@y", "z@y"]}

    service = await shaped.service(answer)
    store = shaped.store(
        url=service.url,
        request=LEGACY["request"],
        response={"accepted": "ok", "id": "uid"},
        attributes=[
            {
                "url": f"{service.url}/people/{{id}}",
                "query": {"fields": "mail", "who": "{username}"},
                "groups": "memberships",
                "claims": {"email": "mail"},
            }
        ],
    )

    assert await record_of(store) == UserRecord(
        "u 1/2", "testuser", frozenset({"a", "b"}), {"email": "x@y,z@y"}
    )


async def test_a_second_request_that_fails_is_an_outage_not_a_person_without_groups(shaped: Stores):
    service = await shaped.service(lambda r: (200, {"ok": True}) if r.method == "POST" else (404, b""))
    about = {"url": f"{service.url}/p/{{username}}", "groups": "g"}
    said = {"request": LEGACY["request"], "response": {"accepted": "ok"}, "attributes": [about]}

    assert await ask(shaped.store(url=service.url, **said)) == "unavailable: attributes: status_404"


FORMS: dict[str, tuple[dict[str, Any], Callable[[Seen], tuple[str, str]]]] = {
    "json": (
        {"body": {"a": [{"u": "{username}"}], "p": "{password}", "n": 1}},
        lambda r: (json.loads(r.body)["a"][0]["u"], json.loads(r.body)["p"]),
    ),
    "json within": (
        {"body": {"u": "pre {username} post", "p": "<{password}>"}},
        lambda r: (json.loads(r.body)["u"][4:-5], json.loads(r.body)["p"][1:-1]),
    ),
    "form": (
        {"format": "form", "body": {"u": "{username}", "p": "{password}"}},
        lambda r: (
            dict(parse_qsl(r.body.decode(), keep_blank_values=True))["u"],
            dict(parse_qsl(r.body.decode(), keep_blank_values=True))["p"],
        ),
    ),
    "query": (
        {"body": {"p": "{password}"}, "query": {"u": "{username}"}},
        lambda r: (dict(parse_qsl(urlsplit(r.target).query))["u"], json.loads(r.body)["p"]),
    ),
    "basic": ({"method": "GET", "as_user": True}, lambda r: _basic(r.headers["authorization"])),
}


def _basic(header: str) -> tuple[str, str]:
    name, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
    return name, password


NAMES = st.text(st.characters(codec="utf-8", exclude_characters=":\x00"), min_size=1, max_size=30)
PASSWORDS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40),
    st.sampled_from(['"}', "{username}", "{password}", "a&u=admin", "%22", "\r\nX: y", "\\u0022", "';--"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, password=PASSWORDS)
@pytest.mark.parametrize("form", FORMS)
def test_nothing_typed_breaks_out_of_its_place(form: str, name: str, password: str):
    """The service reads exactly the name and the password, whatever they hold."""
    request, read = FORMS[form]
    got: list[tuple[str, str]] = []

    def answer(seen: Seen) -> Answer:
        got.append(read(seen))
        return 200, {"ok": True}

    async def go() -> str:
        made = Stores()
        service = await made.service(answer)
        store = made.store(url=service.url, request=request, response={"accepted": "ok"})
        said = await ask(store, name, password)
        await made.close()
        return said

    assert asyncio.run(go()) == "accepted"
    assert got == [(name, password)]


async def test_a_name_in_the_path_stays_one_step_of_it(shaped: Stores):
    service = await shaped.service(lambda _: (200, {"ok": True}))
    request = {"body": {"p": "{password}"}}
    store = shaped.store(
        url=f"{service.url}/u/{{username}}/login", request=request, response={"accepted": "ok"}
    )

    await ask(store, "../admin?x=1")

    assert service.seen[0].target == "/u/..%2Fadmin%3Fx%3D1/login"


async def test_no_step_holds_a_secret(shaped: Stores):
    service = await shaped.service(legacy)
    with watched() as steps:
        await ask(shaped.store(url=service.url, auth={"bearer": {"token": "t0ken"}}, **LEGACY))

    assert [step.what for step in steps.found] == ["request", "verdict", "record"]
    assert "secret" not in repr(steps.found)
    assert "t0ken" not in repr(steps.found)


BODY = {"u": "{username}", "p": "{password}"}
ACCEPTED = {"accepted": "ok"}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"request": {"body": {"u": "{username}"}}, "response": ACCEPTED}, "request"),
        ({"request": {"body": {"p": "{password}"}}, "response": ACCEPTED}, ""),
        ({"request": {"body": BODY, "query": {"p": "{password}"}}, "response": ACCEPTED}, "request"),
        ({"request": {"body": BODY, "headers": {"X-P": "{password}"}}, "response": ACCEPTED}, "request"),
        ({"request": {"body": BODY, "headers": {"Host": "x"}}, "response": ACCEPTED}, "request"),
        (
            {"request": {"body": BODY, "headers": {"X-A": "a\r\nb: c"}}, "response": ACCEPTED},
            "request.headers.X-A",
        ),
        ({"request": {"method": "GET", "body": BODY}, "response": ACCEPTED}, "request"),
        ({"request": {"format": "form", "body": BODY | {"x": {}}}, "response": ACCEPTED}, "request"),
        ({"request": {"body": BODY}}, ""),
        ({"response": ACCEPTED}, ""),
        ({"request": {"body": BODY}, "response": {"accepted": "a =="}}, "response.accepted"),
        ({"request": {"body": BODY}, "response": {"accepted": "x" * 2000}}, "response.accepted"),
        ({"request": {"body": BODY}, "response": {"refused_status": [200]}}, "response"),
        ({"template": "agent", "request": {"body": BODY}, "response": ACCEPTED}, ""),
        ({"template": "carrier pigeon"}, "template"),
        ({"url": "https://x.example/{password}", "request": {"body": BODY}, "response": ACCEPTED}, "url"),
        ({"url": "https://x.example/{username}"}, "url"),
        ({"auth": {}}, "auth"),
        ({"auth": {"basic": {"username": "a"}, "bearer": {"token": "b"}}}, "auth"),
        ({"auth": {"signature": {"key_id": "a", "secret": "short"}}}, "auth.signature.secret"),
        ({"proxy": {"url": "http://169.254.169.254"}}, "proxy.url"),
        ({"exists": {"url": "http://10.0.0.1/{username}"}}, "exists.url"),
        ({"claims": {"email": "mail"}}, ""),
    ],
)
def test_bad_settings_name_their_field(said: dict[str, Any], field: str):
    with pytest.raises(InvalidUserStore) as error:
        RESTSettings.read({"url": "https://x.example/login", **said}).check(OutboundPolicy())

    assert error.value.field == field
