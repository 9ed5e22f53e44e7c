"""The real app, in this process and as the worker that `ostiary apply` finds."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local
from tests.support.conformance import conforming

from ostiary.app import Settings, build_app, environment_of


@pytest.fixture
def local(settings: Settings) -> Iterator[TestClient]:
    """An HTTP client that is the local administrator."""
    with conforming(Local(build_app(settings))) as client:
        yield client


@pytest.fixture
def data_dir(settings: Settings) -> Iterator[Path]:
    """The data directory of a running worker."""
    run = settings.data_dir / "run"
    run.mkdir(mode=0o700)
    worker = subprocess.Popen(
        [sys.executable, "-m", "ostiary.cli.worker", "--index", "0"],
        env={**os.environ, **environment_of(settings)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (run / "admin-0.sock").exists() and worker.poll() is None:
        time.sleep(0.02)
    yield settings.data_dir
    worker.terminate()
    worker.wait()
