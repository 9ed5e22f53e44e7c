"""What API management says against a value."""

from ostiary.apim import Invalid


def test_a_megabyte_that_is_refused_is_not_sent_back():
    error = Invalid("name", repr("x" * 1_000_000), "a short name")
    assert (len(error.found), len(str(error))) == (81, 116)
    assert error.found.endswith("…")
