"""A person is handed out and erased: nothing that was theirs is in the database's files any more."""

from tests.http.test_audit import API, Installation, a_client, an_installation, records_of, stored
from tests.system.waiting import until

from ostiary.app import Settings
from ostiary.foundation.database import write_engine
from ostiary.foundation.identifiers import new_id
from ostiary.organizations import find
from ostiary.permissions import Role, a_user, put_role

PASSWORD_OF_MARKER = "a-password-that-is-long-enough"
CLAIMS = {"email": "marker@example.org", "given_name": "Markerella"}
MARKERS = ("marker", "markerella", "198.51.100.77")
SUBJECTS = f"{API}/identity/v1/subjects"


def give_a_role(settings: Settings) -> None:
    engine = write_engine(settings.database)
    with engine.begin() as connection:
        acme = find(connection, "acme")
        assert acme is not None
        members = frozenset({a_user("marker"), a_user("somebody.else")})
        put_role(connection, Role(new_id(), acme.id, "clerk", (), members))
    engine.dispose()


def plant(installation: Installation) -> str:
    """Let somebody leave traces everywhere; returns the identifier of the last request, a refused one."""
    call = installation.call
    call("POST", f"{API}/oauth/v1/clients", 201, a_client())
    person = {"username": "marker", "password": PASSWORD_OF_MARKER, "claims": CLAIMS}
    call("POST", f"{API}/identity/v1/users", 201, person)
    call("PUT", f"{API}/identity/v1/users/marker", 200, {"claims": {**CLAIMS, "nickname": "old-marker"}})
    call("PUT", f"{API}/identity/v1/users/marker", 200, {"claims": CLAIMS})
    call("POST", f"{API}/apim/v1/applications", 201, {"name": "Shop", "owner": "marker"})
    call("POST", f"{API}/apim/v1/deny-policies", 201, {"condition": "USER", "value": "marker"})
    installation.headers = {"X-Forwarded-For": "198.51.100.77"}
    installation.token(200, username="marker", password=PASSWORD_OF_MARKER)
    installation.headers = {}
    return installation.token(400, username="marker", password="not-the-password")


def subject_of(installation: Installation) -> str:
    return str(installation.local.get(SUBJECTS, params={"name": "marker"}).json()["subject"])


def test_everything_that_is_held_about_a_person_is_handed_out(settings: Settings) -> None:
    give_a_role(settings)
    with an_installation(settings) as installation:
        plant(installation)
        installation.log()
        held = installation.local.get(f"{SUBJECTS}/{subject_of(installation)}").json()

    assert held["identity"]["user"][0]["claims"] == CLAIMS
    assert held["identity"]["subject"][0]["username"] == "marker"
    assert held["roles"] == ["clerk"]
    assert [family["client_id"] for family in held["tokens"]["token_families"]] == ["mobile"]
    assert [one["name"] for one in held["api_management"]["applications"]] == ["Shop"]
    assert len(held["api_management"]["deny_policies"]) == 1
    actions = [record["action"] for record in held["audit_log"]]
    assert actions == ["user.created", "user.changed", "user.changed", "user.token_issued"]
    assert "argon2" not in str(held)
    assert "fingerprint" not in str(held)


def test_nothing_of_an_erased_person_is_in_the_files_and_the_chain_verifies(settings: Settings) -> None:
    give_a_role(settings)
    with an_installation(settings) as installation:
        refused = plant(installation)
        explanation = f"{API}/server/v1/explanations/{refused}"
        until(lambda: installation.local.get(explanation).is_success, what="the explanation")
        subject = subject_of(installation)
        installation.call("DELETE", f"{SUBJECTS}/{subject}", 204)
        kept = stored(settings).lower()
        installation.call("GET", f"{SUBJECTS}/{subject}", 404)
        installation.token(400, username="marker", password=PASSWORD_OF_MARKER)

    for marker in MARKERS:
        assert marker.encode() not in kept
    log = records_of(settings)
    (creation,) = [record for record in log if record["action"] == "user.created"]
    assert creation["after"]["claims"] == creation["after"]["username"] == {"$erased": True}
    (role,) = [record for record in log if record["target"] == {"kind": "role", "id": "clerk"}]
    assert role["after"]["members"] == [{"$erased": True}, "user somebody.else"]
    assert "user.erased" in [record["action"] for record in log]


def test_tokens_of_an_erased_person_are_over(settings: Settings) -> None:
    with an_installation(settings) as installation:
        installation.call("POST", f"{API}/oauth/v1/clients", 201, a_client())
        person = {"username": "marker", "password": PASSWORD_OF_MARKER}
        installation.call("POST", f"{API}/identity/v1/users", 201, person)
        refresh = installation.tokens(username="marker", password=PASSWORD_OF_MARKER)["refresh_token"]

        installation.call("DELETE", f"{SUBJECTS}/{subject_of(installation)}", 204)

        installation.token(400, grant_type="refresh_token", refresh_token=refresh)


def test_a_person_of_another_organization_is_nobody_here(settings: Settings) -> None:
    with an_installation(settings) as installation:
        person = {"username": "marker", "password": PASSWORD_OF_MARKER}
        installation.call("POST", f"{API}/identity/v1/users", 201, person)
        elsewhere = f"/api/identity/v1/subjects/{subject_of(installation)}"

        installation.call("GET", elsewhere, 404)
        installation.call("DELETE", elsewhere, 404)
        installation.call("GET", "/api/identity/v1/subjects?name=marker", 404)
        for nobody in ("x", "%20", "a" * 300):
            installation.call("DELETE", f"{SUBJECTS}/{nobody}", 404)
