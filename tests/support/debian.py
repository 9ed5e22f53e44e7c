"""Servers that tests start come from Debian; a fresh machine gets them here."""

import os
import shutil
import subprocess
from functools import cache


@cache
def program(name: str, *packages: str) -> str:
    """Where that program is; as root its packages are installed where it is missing.

    Raises:
        AssertionError: it is missing and cannot be installed.
    """
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if shutil.which(name, path=path) is None:
        assert os.getuid() == 0, f"{name} is missing: apt-get install {' '.join(packages)}"
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=quiet, check=True, capture_output=True)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        subprocess.run(command, env=quiet, check=True, capture_output=True)
    found = shutil.which(name, path=path)
    assert found is not None, f"{name} is in none of {', '.join(packages)}"
    return found
