"""How durations may be said, wherever they are said."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from ostiary.foundation.settings import Section


class Waiting(Section):
    """A section with a duration and a text."""

    patience: timedelta = timedelta(seconds=1)
    name: str = ""


@pytest.mark.parametrize("said", [600, "600", "PT10M", 600.0])
def test_a_duration_is_seconds_or_iso_8601_in_files_and_in_the_environment(said: object):
    assert Waiting.model_validate({"patience": said}).patience == timedelta(minutes=10)


def test_a_text_of_digits_stays_a_text():
    assert Waiting.model_validate({"name": "600"}).name == "600"


@pytest.mark.parametrize("said", ["soon", "", "six hundred", "10 x"])
def test_what_is_no_duration_is_refused(said: str):
    with pytest.raises(ValidationError):
        Waiting.model_validate({"patience": said})
