"""A real OpenLDAP server (slapd) on loopback, with people, groups and a password policy."""

import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.debian import program
from tests.support.ports import free_ports

SUFFIX = "dc=corp,dc=example"
PEOPLE, GROUPS = f"ou=people,{SUFFIX}", f"ou=groups,{SUFFIX}"
READER, READER_PASSWORD = f"cn=reader,{SUFFIX}", "readers-password"
ROOT, ROOT_PASSWORD = f"cn=root,{SUFFIX}", "roots-password"

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile {folder}/slapd.pid
loglevel stats
sizelimit 50
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.pem
TLSVerifyClient never
database mdb
maxsize 1073741824
suffix "{suffix}"
rootdn "{root}"
rootpw {root_password}
directory {folder}/db
index objectClass,uid,mail,member eq
limits dn.exact="{reader}" size.soft=50 size.hard=50 size.prtotal=unlimited
overlay memberof
overlay ppolicy
ppolicy_default "cn=policy,{suffix}"
ppolicy_use_lockout
access to attrs=userPassword by self write by anonymous auth by * none
access to * by dn.exact="{reader}" read by self read by * none
"""


class DirectoryServer:
    """One slapd. `log` has a line for each operation."""

    def __init__(self, folder: Path, authority: Authority, *names: str) -> None:
        """`names`: what its certificate is for; 127.0.0.1 unless said otherwise."""
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self.tls_port = free_ports(2)
        (folder / "db").mkdir()
        (folder / "server.pem").write_text("".join(authority.issue(*(names or ("127.0.0.1",)))))
        (folder / "slapd.conf").write_text(
            _CONFIGURATION.format(
                folder=folder, suffix=SUFFIX, root=ROOT, root_password=ROOT_PASSWORD, reader=READER
            )
        )
        self.load(_BEGINNING)

    @property
    def url(self) -> str:
        """Where it speaks LDAP, and TLS after StartTLS."""
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Where it speaks LDAP over TLS."""
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def log(self) -> str:
        """What it was asked, as slapd writes it."""
        return (self._folder / "log").read_text(errors="replace")

    def load(self, entries: Iterable[str]) -> None:
        """Add entries while it does not run; they may have operational attributes."""
        slapadd = program("slapadd", "slapd", "ldap-utils")
        text = "\n\n".join(entries) + "\n"
        command = [slapadd, "-q", "-f", str(self._folder / "slapd.conf")]
        subprocess.run(command, input=text.encode(), check=True, capture_output=True)

    def start(self) -> "DirectoryServer":
        """Run it until it takes connections."""
        slapd = program("slapd", "slapd", "ldap-utils")
        listen = f"{self.url}/ {self.tls_url}/"
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [slapd, "-f", str(self._folder / "slapd.conf"), "-h", listen, "-d", "stats"],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while not _listens(self.port) or not _listens(self.tls_port):
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)
        return self

    def add(self, *entries: str) -> None:
        """Add entries while it runs, so that overlays see them."""
        self._as_root("ldapadd", "\n\n".join(entries) + "\n")

    def change(self, *changes: str) -> None:
        """Change entries while it runs."""
        self._as_root("ldapmodify", "\n\n".join(changes) + "\n")

    def delete(self, name: str) -> None:
        """Delete a person while it runs."""
        self._as_root("ldapmodify", f"dn: uid={name},{PEOPLE}\nchangetype: delete\n")

    def lock(self, name: str, since: str = "000001010000Z") -> None:
        """Lock a person: for good as an administrator does, or as wrong passwords do, since a time."""
        change = f"changetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: {since}\n"
        self.change(f"dn: uid={name},{PEOPLE}\n{change}")

    def stop(self) -> None:
        """End it; its entries stay."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def _as_root(self, command: str, text: str) -> None:
        found = program(command, "ldap-utils")
        arguments = [found, "-x", "-H", self.url, "-D", ROOT, "-w", ROOT_PASSWORD]
        subprocess.run(arguments, input=text.encode(), check=True, capture_output=True)


def person(name: str, password: str | None = "secret", *more: str) -> str:
    """An entry of a person. `more` are lines of attributes."""
    lines = [
        f"dn: uid={name},{PEOPLE}",
        "objectClass: inetOrgPerson",
        f"uid: {name}",
        f"cn: {name}",
        "sn: Person",
        f"mail: {name.encode('ascii', 'ignore').decode()}@corp.example",
        *([f"userPassword: {password}"] if password is not None else []),
        *more,
    ]
    return "\n".join(lines)


def group(name: str, *members: str) -> str:
    """An entry of a group; members are names of people, or DNs."""
    lines = [f"member: {m if '=' in m else f'uid={m},{PEOPLE}'}" for m in members]
    return "\n".join([f"dn: cn={name},{GROUPS}", "objectClass: groupOfNames", f"cn: {name}", *lines])


_BEGINNING = (
    f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: Corp\ndc: corp",
    f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people",
    f"dn: {GROUPS}\nobjectClass: organizationalUnit\nou: groups",
    f"dn: {READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\n"
    f"userPassword: {READER_PASSWORD}",
    f"dn: cn=policy,{SUFFIX}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: policy\n"
    "pwdAttribute: userPassword\npwdLockout: TRUE\npwdMaxFailure: 100\npwdMustChange: TRUE\npwdMaxAge: 0",
    person("testuser"),
    person("reset", "secret", "pwdReset: TRUE"),
    person("locked", "secret", "pwdAccountLockedTime: 000001010000Z"),
    person("nopassword", None),
)


def _listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0
