"""Settings of a type: what is a secret in them, and what is left without."""

from typing import ClassVar

import pytest
from pydantic import Field, SecretStr

from ostiary.identity import InvalidUserStore
from ostiary.identity.user_stores.type_settings import Section, TypeSettings, shown


class Bind(Section):
    dn: str
    password: SecretStr | None = None


class Settings(TypeSettings):
    ADDRESSES: ClassVar[frozenset[str]] = frozenset({"url", "bind"})

    url: str
    claims: dict[str, str] = Field(default_factory=dict)
    bind: Bind | None = None
    token: SecretStr | None = None


WHOLE = Settings(url="ldaps://x", bind=Bind(dn="cn=r", password=SecretStr("p")), token=SecretStr("t"))


def test_secrets_are_named_by_their_keys():
    assert WHOLE.secrets() == {"bind.password": SecretStr("p"), "token": SecretStr("t")}


def test_the_rest_is_json_without_them():
    assert WHOLE.without_secrets() == {"url": "ldaps://x", "bind": {"dn": "cn=r"}}


def test_both_together_are_the_whole_again():
    read = Settings.model_validate(WHOLE.without_secrets())

    assert read.with_secrets(WHOLE.secrets()) == WHOLE


def test_a_secret_of_a_part_that_is_gone_is_nowhere():
    assert Settings(url="x").with_secrets({"bind.password": SecretStr("p")}) == Settings(url="x")


def test_the_service_is_another_where_an_address_is():
    same = WHOLE.model_copy(update={"token": SecretStr("u"), "claims": {"email": "mail"}})
    others = [WHOLE.model_copy(update={"url": "y"}), WHOLE.model_copy(update={"bind": Bind(dn="other")})]

    assert same.service() == WHOLE.service()
    assert WHOLE.service() not in [other.service() for other in others]


def test_a_secret_has_a_place_where_its_part_is():
    assert [WHOLE.has_place_for(key) for key in ("bind.password", "token", "bind.dn.x", "x", "bind.x")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not Settings(url="x").has_place_for("bind.password")


def test_people_are_shown_which_secrets_are_set():
    assert shown(Settings.model_validate(WHOLE.without_secrets()), {"token"}) == {
        "url": "ldaps://x",
        "bind": {"dn": "cn=r", "password_is_set": False},
        "token_is_set": True,
    }


@pytest.mark.parametrize(
    ("given", "field"),
    [({}, "url"), ({"url": "x", "bind": {"dn": 1}}, "bind.dn"), ({"url": "x", "y": "secret"}, "y")],
)
def test_a_mistake_names_its_field_and_shows_nothing(given: dict[str, object], field: str):
    with pytest.raises(InvalidUserStore) as error:
        Settings.read(given)

    assert error.value.field == field
    assert "secret" not in str(error.value)
