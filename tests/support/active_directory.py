"""A real Active Directory on loopback: Samba as a domain controller, with its LDAP service alone."""

import random
import socket
import subprocess
import time
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.debian import program

BASE = "dc=corp,dc=example"
READER, READER_PASSWORD = "reader@corp.example", "Readers-Passw0rd"
PASSWORD = "Secret-123"
_PACKAGES = ("samba", "samba-ad-dc", "samba-ad-provision", "samba-dsdb-modules", "ldap-utils")


class ActiveDirectory:
    """One domain controller. It listens on the well-known ports of a loopback address of its own."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder = folder
        self._settings = folder / "smb.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
        (folder / "domain").mkdir()
        self._tool(
            *("domain", "provision", "--realm=CORP.EXAMPLE", "--domain=CORP", "--server-role=dc"),
            *("--dns-backend=NONE", f"--adminpass={READER_PASSWORD}", f"--targetdir={folder / 'domain'}"),
        )
        self._configure(authority)

    @property
    def url(self) -> str:
        """Where it speaks LDAP over TLS."""
        return f"ldaps://{self.address}"

    def start(self) -> "ActiveDirectory":
        """Run it until it takes connections, and make the service account."""
        samba = program("samba", *_PACKAGES)
        with open(self._folder / "log", "ab") as log:
            command = [samba, "-F", "--no-process-group", "-M", "single", "-s", str(self._settings)]
            self._process = subprocess.Popen([*command, "--debug-stdout"], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self._listens():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.05)
        self.user("reader", READER_PASSWORD)
        return self

    def user(self, name: str, password: str = PASSWORD, *more: str) -> None:
        """Make a user."""
        self.tool("user", "create", name, password, *more)

    def group(self, name: str, *members: str) -> None:
        """Make a group of users and groups."""
        self.tool("group", "add", name)
        self.tool("group", "addmembers", name, ",".join(members))

    def tool(self, *arguments: str) -> None:
        """Run `samba-tool`."""
        self._tool(*arguments, "-s", str(self._settings))

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def _tool(self, *arguments: str) -> None:
        tool = program("samba-tool", *_PACKAGES)
        ran = subprocess.run([tool, *arguments], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr + ran.stdout

    def _configure(self, authority: Authority) -> None:
        certificate, key = authority.issue(self.address)
        (self._folder / "certificate.pem").write_text(certificate)
        (self._folder / "key.pem").write_text(key)
        (self._folder / "key.pem").chmod(0o600)
        (self._folder / "ca.pem").write_text(authority.ca)
        made = self._folder / "domain" / "etc" / "smb.conf"
        changed = {
            "interfaces": f"{self.address}/8",
            "bind interfaces only": "yes",
            "server services": "ldap",
            "pid directory": str(self._folder),
            "ncalrpc dir": str(self._folder / "ncalrpc"),
            "log file": str(self._folder / "log"),
            "tls certfile": str(self._folder / "certificate.pem"),
            "tls keyfile": str(self._folder / "key.pem"),
            "tls cafile": str(self._folder / "ca.pem"),
        }
        made_lines = made.read_text().partition("[global]")[2].partition("\n[")[0].splitlines()
        kept = [line for line in made_lines if line.partition("=")[0].strip() not in changed]
        lines = ["[global]", *kept, *(f"\t{name} = {value}" for name, value in changed.items())]
        self._settings.write_text("\n".join(lines) + "\n")

    def _listens(self) -> bool:
        with socket.socket() as one:
            one.settimeout(1)
            return one.connect_ex((self.address, 636)) == 0
