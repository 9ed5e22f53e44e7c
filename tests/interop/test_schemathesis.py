"""What the OpenAPI document says is what is answered, to whoever asks and whatever is sent."""

from collections.abc import Iterator

import pytest
from tests.interop.fuzzing import CALLERS, Served, served


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("fuzzed")) as running:
        yield running


@pytest.mark.parametrize("caller", CALLERS)
def test_a_fuzzer_finds_nothing_that_the_document_does_not_say(running: Served, caller: str):
    outcome = running.fuzz(caller, "--phases", "fuzzing", "--max-examples", "2", "--no-shrink")

    assert outcome.is_clean, outcome.text
    assert outcome.tested == running.operations > 300
    assert sum(running.app.statuses.values()) > running.operations
