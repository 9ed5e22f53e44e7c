"""The page about SAML providers: its file, its command, and a call whose backend learns who it was."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import yaml
from tests.support.saml import Said, SAMLIssuer
from tests.system.pages import blocks, perform
from tests.system.server import Server
from tests.system.stand_ins import Backend
from tests.system.waiting import until

PAGE = "take-assertions-of-a-saml-provider"
SECRETS = {"OWNER_PASSWORD": "a-password-of-an-owner", "MOBILE_SECRET": "a-secret-of-a-client"}


def test_an_assertion_becomes_a_call_whose_backend_knows_the_person(server: Server, tmp_path: Path):
    partner, backend = SAMLIssuer(), Backend()
    document = yaml.safe_load(blocks(PAGE, "yaml")[0])
    document["apis"][0]["backend"]["production"] = [f"http://127.0.0.1:{backend.port}"]
    (tmp_path / "organization.yaml").write_text(yaml.safe_dump(document))
    (tmp_path / "partner.pem").write_text(partner.pem)
    done = server.ostiary("apply", "-f", str(tmp_path / "organization.yaml"), **SECRETS)
    assert done.returncode == 0, done.stderr + done.stdout
    with server.management() as http:
        issuer = http.get("/t/my_company/.well-known/oauth-authorization-server").json()["issuer"]
    attributes = {"uid": ["4711"], "mail": ["alice@partner.example"], "memberOf": ["sales"]}
    said = Said(datetime.now(UTC), issuer, f"{issuer}/oauth2/token", attributes=attributes)
    (tmp_path / "assertion.xml").write_bytes(partner.signed(said.text()))
    script = blocks(PAGE, "sh")[0].replace("assertion.", f"{tmp_path}/assertion.")

    answer = json.loads(perform(server, script, **SECRETS))

    assert answer["scope"] == "orders:write"
    with server.gateway() as http:
        headers = {"Authorization": f"Bearer {answer['access_token']}"}
        path = "/t/my_company/orders/1.0.0/"
        until(lambda: http.post(path, headers=headers).status_code == 200, what="the API")
    told = dict(backend.calls[-1]["headers"])["x-jwt-assertion"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(told + "=" * (-len(told) % 4)))
    assert claims["http://wso2.org/claims/enduser"] == "PARTNER/alice@partner.example@my_company"
    backend.stop()


def test_doctor_looks_at_its_certificates(server: Server, tmp_path: Path):
    old = SAMLIssuer(now=datetime(2020, 1, 1, tzinfo=UTC), days=30)
    document = yaml.safe_load(blocks(PAGE, "yaml")[0])
    found = []
    good = "an identity provider; one of its certificates is valid"
    for issuer in (old, SAMLIssuer()):
        (tmp_path / "partner.pem").write_text(issuer.pem)
        (tmp_path / "organization.yaml").write_text(yaml.safe_dump(document))
        done = server.ostiary("apply", "-f", str(tmp_path / "organization.yaml"), **SECRETS)
        assert done.returncode == 0, done.stderr + done.stdout
        report = server.ostiary("doctor").stdout
        assert "user store PARTNER of my_company" in report
        found.append(("none of its certificates is valid now" in report, good in report))

    assert found == [(True, False), (False, True)]
