"""/api/server/v1/userstores: the same stores in the documents of WSO2 Identity Server."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from tests.http.identity.conftest import an_app
from tests.support.identity import World
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER, LoginService
from tests.support.saml import SAMLIssuer

from ostiary.identity.endpoints.user_store_documents import identifier

MASK = "********"
LDAP = base64.urlsafe_b64encode(b"ldap").decode()
REST = base64.urlsafe_b64encode(b"rest").decode().rstrip("=")
CORP = base64.urlsafe_b64encode(b"CORP").rstrip(b"=").decode()


@pytest.fixture
async def wso2(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    base = "http://test/t/my_company/api/server/v1"
    transport = httpx2.ASGITransport(an_app(world))
    async with httpx2.AsyncClient(
        transport=transport, base_url=base, headers={"X-Caller": "admin"}
    ) as client:
        yield client


def corp(**properties: str) -> dict[str, Any]:
    usual = {
        "urls": '["ldaps://dc1.corp.example"]',
        "bind.dn": "cn=reader,dc=corp,dc=example",
        "bind.password": "readers-password",
        "users.base": "ou=people,dc=corp,dc=example",
        "timeout_ms": "1500",
    }
    said = [{"name": name, "value": value} for name, value in (usual | properties).items()]
    mappings = [{"claimURI": "http://wso2.org/claims/emailaddress", "mappedAttribute": "mail"}]
    return {
        "typeId": LDAP,
        "name": "corp",
        "description": "The company's directory",
        "properties": said,
        "claimAttributeMappings": mappings,
    }


def properties(document: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in document["properties"]}


async def test_types_tell_what_they_need(wso2: httpx2.AsyncClient):
    types = (await wso2.get("/userstores/meta/types")).json()
    assert [one["typeName"] for one in types] == ["rest", "ldap", "active_directory", "sql", "saml"]

    told = (await wso2.get(f"/userstores/meta/types/{LDAP}")).json()["properties"]
    assert {one["name"] for one in told["Mandatory"]} == {"urls"}
    optional = {one["name"]: one for one in told["Optional"]}
    assert optional["bind.password"]["secret"]
    assert optional["users.id"]["default"] == "entryUUID"
    assert optional["timeout_ms"]["default"] == "2000"
    assert optional["start_tls"]["description"]
    assert (await wso2.get(f"/userstores/meta/types/{LDAP}/attributes")).json() == told
    assert (await wso2.get("/userstores/meta/types/bm9wZQ")).status_code == 404


async def test_a_store_is_made_read_changed_and_deleted(wso2: httpx2.AsyncClient, api: httpx2.AsyncClient):
    made = await wso2.post("/userstores", json=corp())
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"/t/my_company/api/server/v1/userstores/{CORP}"
    assert (await wso2.post("/userstores", json=corp())).status_code == 409

    told = (await wso2.get(f"/userstores/{CORP}")).json()
    assert (told["name"], told["description"]) == ("CORP", "The company's directory")
    assert properties(told)["bind.password"] == MASK
    assert properties(told)["timeout_ms"] == "1500"
    assert told["claimAttributeMappings"] == corp()["claimAttributeMappings"]
    assert (await wso2.get(f"/userstores/{CORP}/attribute-mappings")).json() == told["claimAttributeMappings"]
    native = (await api.get("/user-stores/CORP")).json()
    assert native["bind"] == {"dn": "cn=reader,dc=corp,dc=example", "password_is_set": True}

    changes = [
        {"operation": "REPLACE", "path": "/properties/timeout_ms", "value": "900"},
        {"operation": "ADD", "path": "/properties/enabled", "value": "false"},
        {"operation": "REMOVE", "path": "/description"},
    ]
    changed = (await wso2.patch(f"/userstores/{CORP}", json=changes)).json()
    assert (properties(changed)["timeout_ms"], properties(changed)["enabled"]) == ("900", "false")
    assert (changed["description"], properties(changed)["bind.password"]) == ("", MASK)
    (listed,) = (await wso2.get("/userstores")).json()
    assert (listed["id"], listed["enabled"], listed["typeName"]) == (CORP, False, "ldap")

    assert (await wso2.delete(f"/userstores/{CORP}")).status_code == 204
    assert (await wso2.get(f"/userstores/{CORP}")).status_code == 404


async def test_what_was_read_can_be_put_back(wso2: httpx2.AsyncClient):
    await wso2.post("/userstores", json=corp())
    told = (await wso2.get(f"/userstores/{CORP}")).json()

    assert (await wso2.put(f"/userstores/{CORP}", json=told)).json() == told


async def test_a_masked_secret_goes_to_no_other_address(wso2: httpx2.AsyncClient):
    """CVE-2026-15943."""
    await wso2.post("/userstores", json=corp())
    told = (await wso2.get(f"/userstores/{CORP}")).json()
    moved = [one for one in told["properties"] if one["name"] != "urls"]
    moved.append({"name": "urls", "value": '["ldaps://attacker.example"]'})

    put = (await wso2.put(f"/userstores/{CORP}", json=told | {"properties": moved})).json()

    assert "bind.password" not in properties(put)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (corp(urls="ldap://x"), 400),
        (corp(nonsense="1"), 400),
        (corp(**{"users.base": "no dn"}), 400),
        (corp(bind="x"), 400),
        (corp(timeout_ms="soon"), 400),
        (corp(urls="[" * 5000), 400),
        (corp() | {"typeId": "!"}, 400),
        (corp() | {"name": "PRIMARY"}, 400),
    ],
)
async def test_bad_input_changes_nothing(wso2: httpx2.AsyncClient, body: dict[str, Any], status: int):
    assert (await wso2.post("/userstores", json=body)).status_code == status
    assert (await wso2.get("/userstores")).json() == []


async def test_a_connection_is_tested(wso2: httpx2.AsyncClient):
    service = await LoginService({"testuser": "secret"}).start()
    said = {"url": service.url, "auth.basic.username": SERVICE_USER, "auth.basic.password": SERVICE_PASSWORD}
    body = {
        "typeId": REST,
        "name": "EXTERNAL",
        "properties": [{"name": name, "value": value} for name, value in said.items()],
    }

    assert (await wso2.post("/userstores/test-connection", json=body)).json()["connection"]
    service.mode = "ok"
    told = (await wso2.post("/userstores/test-connection", json=body)).json()
    assert (told["connection"], told["acceptsAnybody"]) == (False, True)
    await service.stop()
    told = (await wso2.post("/userstores/test-connection", json=body)).json()
    assert (told["connection"], told["problem"]) == (False, "connect")


async def test_an_identity_provider_has_no_option_of_whom_nobody_asks(wso2: httpx2.AsyncClient):
    """Its certificates are a list, its people come with an assertion (RFC 7522)."""
    type_id = identifier("saml")
    told = (await wso2.get(f"/userstores/meta/types/{type_id}")).json()["properties"]
    assert {one["name"] for one in told["Mandatory"]} == {"entity_id", "certificates"}
    assert not {"timeout_ms", "migrate_until"} & {one["name"] for one in told["Optional"]}
    certificates = json.dumps([SAMLIssuer().pem])
    given = {"entity_id": "https://idp.example", "certificates": certificates, "groups": "memberOf"}
    body = {"typeId": type_id, "name": "PARTNER", "description": "", "claimAttributeMappings": []}

    for more, status in (({}, 201), ({"timeout_ms": "500"}, 400), ({"certificates": '["none"]'}, 400)):
        listed = [{"name": name, "value": value} for name, value in {**given, **more}.items()]
        answer = await wso2.post("/userstores", json=body | {"properties": listed, "name": f"P{status}"})
        assert answer.status_code == status, answer.text
    again = (await wso2.get(f"/userstores/{identifier('P201')}")).json()
    assert properties(again)["entity_id"] == "https://idp.example"
    assert "timeout_ms" not in properties(again)
