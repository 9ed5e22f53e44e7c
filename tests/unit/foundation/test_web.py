"""Forms without surprises, and request identifiers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ostiary.foundation.telemetry import mask_secrets
from ostiary.foundation.web import MalformedForm, RequestId, parse_form, request_id


def test_a_form_is_parsed_and_empty_values_count_as_omitted() -> None:
    """RFC 6749 §3.1: parameters sent without a value are treated as omitted."""
    assert parse_form(b"grant_type=password&username=a%40b&scope=") == {
        "grant_type": "password",
        "username": "a@b",
    }


@pytest.mark.parametrize(
    "body", [b"a=1&a=2", b"a=&a=", b"a=%ff", b"a=\xff", b"&".join(b"p%d=x" % n for n in range(60))]
)
def test_a_form_we_do_not_accept_is_refused(body: bytes) -> None:
    """RFC 6749 §3.1: parameters must not be included more than once."""
    with pytest.raises(MalformedForm):
        parse_form(body)


@given(st.binary(max_size=200))
def test_no_body_does_anything_else_than_parse_or_be_refused(body: bytes) -> None:
    try:
        form = parse_form(body)
    except MalformedForm:
        return
    assert all(isinstance(value, str) and value for value in form.values())


@pytest.mark.parametrize(
    ("given_id", "kept"), [("abc-1.2_3", True), ("a b", False), ("x" * 65, False), ("", False)]
)
def test_a_request_keeps_a_well_formed_identifier_and_gets_one_otherwise(given_id: str, kept: bool) -> None:
    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request_id(request))

    client = TestClient(RequestId(Starlette(routes=[Route("/", echo)])))

    response = client.get("/", headers={"X-Request-Id": given_id})

    assert response.headers["x-request-id"] == response.text
    assert (response.text == given_id) is kept


def test_keys_that_name_a_secret_are_masked_and_references_are_not() -> None:
    event = {"password": "p", "client_secret": "s", "access_token": "t", "token_id": "id", "user": "bob@acme"}

    assert mask_secrets(None, "info", event) == {
        "password": "…",
        "client_secret": "…",
        "access_token": "…",
        "token_id": "id",
        "user": "bob@acme",
    }
