"""YAML that a person likes to read and that reads back as the same."""

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.http.declarative.files import EXAMPLE

from ostiary.declarative import laid_out, read_documents, refer_to_secrets
from ostiary.declarative.describing import scope_part
from ostiary.oauth import ScopeSpec

_TRAPS = [
    *("yes", "null", "~", "1.0.0", "1e5", "0x1F", "12:30", "#", "=", "<<", "é", "😀", "2027-06-30", "*"),
    *("/{id}", "http://x/y:z", "a: b", "- a", "a #b", " a", "a ", "---\nx\n...", "a\nb\n", "a\nb"),
    *("a\n\nb\n\n", "\u2028", "\x85"),
]
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
_TEXT |= st.sampled_from(_TRAPS)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(-1e9, 1e9) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_TEXT, _VALUES, min_size=1, max_size=5))
def test_whatever_is_laid_out_reads_back_as_the_same(document: dict[str, Any]):
    (read,) = read_documents(laid_out(document), "test.yaml")
    assert read.data == document


@given(st.dictionaries(_TEXT, _TEXT | st.lists(_TEXT), min_size=1, max_size=5))
def test_other_readers_of_yaml_read_the_same(document: dict[str, Any]):
    assert yaml.safe_load(laid_out(document)) == document


def test_certificates_of_a_list_stand_as_they_are():
    text = "-----BEGIN CERTIFICATE-----\n" + "A" * 64 + "\n-----END CERTIFICATE-----\n"

    assert laid_out({"certificates": [text, "urn:other"]}) == (
        "certificates:\n"
        "  - |\n"
        "    -----BEGIN CERTIFICATE-----\n"
        f"    {'A' * 64}\n"
        "    -----END CERTIFICATE-----\n"
        "  - urn:other\n"
    )


def test_short_things_are_one_line_and_long_ones_are_spread_out():
    (document,) = read_documents(EXAMPLE, "example.yaml")
    document.data["user_stores"][0]["ca"] = "-----BEGIN CERTIFICATE-----\nAAA=\n-----END CERTIFICATE-----\n"

    assert laid_out(document.data) == (
        """\
apiVersion: ostiary/v1
organization: {name: my_company, display_name: My Company}

user_stores:
  - name: EXTERNAL
    type: rest
    url: http://127.0.0.1:9700/authenticate
    auth:
      basic: {username: gateway, password: {env: EXTERNAL_STORE_PASSWORD}}
    timeout_ms: 2000
    ca: |
      -----BEGIN CERTIFICATE-----
      AAA=
      -----END CERTIFICATE-----

users:
  - {username: bob, password: {env: BOB_PASSWORD}, roles: [support], claims: {email: bob@example.com}}

roles:
  - {name: support, permissions: [/permission/admin/manage/identity/identitymgt/view]}
  - {name: clerk, users: [EXTERNAL/testuser], groups: [CORP/sales]}

scopes:
  - {name: orders:write, description: Create orders, roles: [clerk]}

plans:
  - {name: Tiny, requests: 5, per: minute}

apis:
  - name: Orders
    context: /orders
    version: 1.0.0
    state: PUBLISHED
    backend: {production: [http://127.0.0.1:9701]}
    plans: [Gold, Tiny]
    resources:
      - {method: GET, path: /}
      - {method: GET, path: "/{id}"}
      - {method: POST, path: /, scopes: [orders:write]}

applications:
  - name: Mobile
    owner: bob
    keys:
      production:
        client_id: mobile
        client_secret: {env: MOBILE_SECRET}
        grant_types: [password, client_credentials, refresh_token]
    subscriptions: [{api: Orders, version: 1.0.0, plan: Gold}]
"""
    )


def test_no_two_secrets_share_a_variable():
    def keys(client_id: str) -> dict[str, Any]:
        return {"name": client_id, "keys": {"production": {"client_id": client_id, "client_secret": {}}}}

    document = {"applications": [keys("a-b"), keys("a.b"), keys("a_b"), keys("1")]}
    paths = [("applications", index, "keys", "production", "client_secret") for index in range(4)]

    changed, names = refer_to_secrets(document, paths)

    assert names == ["A_B_SECRET", "A_B_SECRET_2", "A_B_SECRET_3", "_1_SECRET"]
    assert [one["keys"]["production"]["client_secret"]["env"] for one in changed["applications"]] == names
    assert document["applications"][0]["keys"]["production"]["client_secret"] == {}


def test_the_display_name_of_a_scope_is_exported() -> None:
    """Without it an apply of what was exported would take it away."""
    assert scope_part(ScopeSpec("news", display_name="News"))["display_name"] == "News"
