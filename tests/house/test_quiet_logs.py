"""The look at logs sees what it should see."""

import pytest
from tests.house.quiet_logs import leaked, secrets_of_the_suite


@pytest.mark.parametrize(
    "line",
    [
        "token=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
        "headers: Authorization: Basic bW9iaWxlOnNlY3JldC1vZi1tb2JpbGU=",
        "hash $argon2id$v=19$m=65536",
        f"password is {min(secrets_of_the_suite())}",
    ],
)
def test_a_secret_in_a_line_is_seen(line: str):
    assert len(leaked(line)) > 0


def test_a_line_about_a_secret_is_no_secret():
    line = "login_refused user=EXTERNAL/testuser@my_company reason=wrong_password token_id=9d4f2c58-5f7e-4f0c"
    assert leaked(line) == []
