"""Settings of a type: what is a secret in them, and what is left without."""

from pydantic import SecretStr

from ostiary.identity.user_stores.type_settings import Section, TypeSettings


class Bind(Section):
    dn: str
    password: SecretStr | None = None


class Settings(TypeSettings):
    url: str
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


def test_the_service_is_another_where_anything_but_a_secret_is():
    other = WHOLE.model_copy(update={"token": SecretStr("u")})

    assert other.service() == WHOLE.service() != Settings(url="x").service()
