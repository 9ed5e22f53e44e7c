"""The product as it is served, in a scratch directory, with an organization of 200 APIs and tokens for it.

Tokens are made here, with the organization's own key read from the scratch directory, because a hundred
thousand logins would measure logins. They say what tokens of the token endpoint say, `jti` and `sub` apart.
"""

import base64
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from tests.system.administrator import Administrator
from tests.system.server import Server
from tests.system.waiting import until

from benchmarks.measuring import with_children
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox, random_token
from ostiary.oauth.tokens.issuing import token_fingerprint
from ostiary.oauth.tokens.jwt import sign_jwt

ORGANIZATION = "bench"
SECRET = "a-secret-of-a-benchmark"
APIS = 200
RESOURCES = 200
SCOPE = "items:read"
PATH = f"/t/{ORGANIZATION}"
GENEROUS = "{requests: 1000000, per: second}"
"""A limit that is counted and never reached."""


def organization(backend_port: int) -> str:
    """The organization's file: API 0 to 199, each with an address of its own, and one of 200 resources."""
    apis = [_api(f"Api{n}", f"/api{n}", _address(n, backend_port), 1) for n in range(APIS)]
    apis.append(_api("Wide", "/wide", _address(0, backend_port), RESOURCES))
    apis.append(_api("Limited", "/limited", _address(0, backend_port), 1, plans="Bursty", limit=GENEROUS))
    apis.append(
        _api(
            "Keyed", "/keyed", _address(0, backend_port), 1, scopes="", plans="Measured", security="[api_key]"
        )
    )
    names = [*(f"Api{n}" for n in range(APIS)), "Wide", "Keyed"]
    return "\n".join(
        [
            "apiVersion: ostiary/v1",
            f"organization: {{name: {ORGANIZATION}}}",
            "users: [{username: owner, password: a-password-of-a-benchmark}]",
            f'scopes: [{{name: "{SCOPE}", everyone: true}}]',
            "plans:",
            "  - {name: Measured, requests: 1000000000, per: minute}",
            "  - {name: Tiny, requests: 5, per: minute}",
            f"  - {{name: Bursty, requests: 1000000000, per: minute, burst: {GENEROUS}}}",
            "apis:",
            *apis,
            "applications:",
            _application("caller", "jwt", names, "Measured"),
            _application("opaque", "opaque", ["Api0"], "Measured"),
            _application("tiny", "jwt", ["Api0"], "Tiny"),
            _application("limited", "jwt", ["Limited"], "Bursty"),
        ]
    )


def _address(number: int, port: int) -> str:
    """Every API its own backend address: all of 127.0.0.0/8 is this machine, and one nginx listens there."""
    return f"http://127.0.2.{number + 1}:{port}"


def _api(
    name: str,
    context: str,
    backend: str,
    resources: int,
    *,
    scopes: str = f'"{SCOPE}"',
    plans: str = "Measured, Tiny",
    **said: str,
) -> str:
    listed = [f'{{method: GET, path: "/items/{{id}}", scopes: [{scopes}]}}']
    listed += [
        f'{{method: GET, path: "/r{n}/{{id}}/parts", scopes: [{scopes}]}}' for n in range(1, resources)
    ]
    more = "".join(f" {key}: {value}," for key, value in said.items())
    return (
        f"  - {{name: {name}, context: {context}, version: 1.0.0, state: PUBLISHED,{more}\n"
        f"     plans: [{plans}],\n"
        f'     backend: {{production: ["{backend}"]}}, resources: [{", ".join(listed)}]}}'
    )


def _application(name: str, token_format: str, apis: list[str], plan: str) -> str:
    subscriptions = ", ".join(f"{{api: {api}, version: 1.0.0, plan: {plan}}}" for api in apis)
    return (
        f"  - {{name: {name}, owner: owner, subscriptions: [{subscriptions}],\n"
        f"     keys: {{production: {{client_id: {ORGANIZATION}-{name}, client_secret: {SECRET},"
        f' token_format: {token_format}, grant_types: [client_credentials], default_scope: ["{SCOPE}"]}}}}}}'
    )


class Product:
    """A server that is ready, and what it takes to call it."""

    def __init__(self, folder: Path, workers: int = 1, **environment: str) -> None:
        self.folder = folder
        self.server = Server(folder / "data", workers=workers, http=True)
        self.server.environment |= environment
        self._templates: dict[str, dict[str, Any]] = {}

    @property
    def url(self) -> str:
        """The cleartext copy of the gateway listener."""
        return f"http://127.0.0.1:{self.server.http_port}"

    @property
    def tls_url(self) -> str:
        """The gateway listener."""
        return f"https://localhost:{self.server.gateway_port}"

    def start(self) -> "Product":
        """Serve."""
        self.server.start()
        return self

    def apply(self, text: str) -> None:
        """Apply an organization file."""
        file = self.folder / "organization.yaml"
        file.write_text(text)
        done = self.server.ostiary("apply", "-f", str(file))
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)

    def gateway_processes(self) -> set[int]:
        """What carries calls: the gateway's HAProxy (master and workers) and the agent."""
        tree = self.server.tree()
        return {pid for pid, line in tree.items() if "gateway.cfg" in line or "ostiary.gateway.node" in line}

    def agent(self) -> int:
        """The agent's process."""
        return self.server.find("ostiary.gateway.node")

    def haproxy(self) -> set[int]:
        """The gateway's HAProxy: its master and its workers."""
        return {pid for pid, line in self.server.tree().items() if "gateway.cfg" in line}

    def haproxy_master(self) -> int:
        """Of the gateway: the one that no other started, whatever reload it has been through."""
        all_of_it = self.haproxy()
        (master,) = [pid for pid in all_of_it if _parent(pid) not in all_of_it]
        return master

    def all_processes(self) -> set[int]:
        """The whole tree of `ostiary serve`."""
        assert self.server.process is not None
        return with_children(self.server.process.pid)

    def token(self, application: str = "caller", **form: str) -> str:
        """A token of the token endpoint."""
        with self.server.gateway() as http:
            answer = http.post(
                "/token",
                data={"grant_type": "client_credentials", **form},
                auth=(f"{ORGANIZATION}-{application}", SECRET),
            )
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def claims(self, application: str = "caller") -> dict[str, Any]:
        """What a token of an application says."""
        if application not in self._templates:
            payload = self.token(application).split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            self._templates[application] = claims
        return self._templates[application]

    def key(self) -> tuple[str, EllipticCurvePrivateKey]:
        """The organization's signing key."""
        with self.database() as database:
            query = (
                "SELECT kid, private_sealed FROM signing_keys JOIN organizations o ON o.id = organization_id"
            )
            kid, sealed = database.execute(f"{query} WHERE o.name = ?", (ORGANIZATION,)).fetchone()
        key = load_der_private_key(
            self.box().open(sealed, f"signing_keys:private_sealed:{kid}"), password=None
        )
        assert isinstance(key, EllipticCurvePrivateKey)
        return kid, key

    def mint(self, number: int, application: str = "caller", **claims: Any) -> list[str]:
        """Make JWTs of that many users of an application."""
        template = self.claims(application) | {"exp": int(time.time()) + 6 * 3600, **claims}
        kid, key = self.key()
        header = {"alg": "ES256", "typ": "at+jwt", "kid": kid}
        return [sign_jwt(key, header, template | {"jti": new_id(), "sub": new_id()}) for _ in range(number)]

    def make_api_keys(self, number: int) -> list[str]:
        """Make API keys of the application `caller`, each by a request to the management API."""
        administrator = Administrator(self.server.directory, ORGANIZATION)
        listed = administrator.ask("GET", "/apim/v1/applications?limit=100")["items"]
        (mine,) = [one["id"] for one in listed if one["name"] == "caller"]
        path = f"/apim/v1/applications/{mine}/api-keys"
        return [str(administrator.ask("POST", path, {"name": f"key-{n}"})["api_key"]) for n in range(number)]

    def mint_opaque(self, number: int) -> list[str]:
        """Make opaque tokens of the application `opaque`, as rows of the database."""
        sample, box = self.token("opaque"), self.box()
        tokens = [random_token() for _ in range(number)]
        with self.database() as database:
            database.row_factory = sqlite3.Row
            query = "SELECT * FROM access_tokens WHERE fingerprint = ?"
            row = dict(database.execute(query, (token_fingerprint(box, sample),)).fetchone())
            marks = ", ".join(f":{name}" for name in row)
            rows = [
                row | {"fingerprint": token_fingerprint(box, token), "token_id": new_id()} for token in tokens
            ]
            database.executemany(f"INSERT INTO access_tokens ({', '.join(row)}) VALUES ({marks})", rows)
            database.commit()
        return tokens

    def box(self) -> SecretBox:
        """The installation's key."""
        return SecretBox((self.server.directory / "secret.key").read_bytes())

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """The database, beside the running server."""
        connection = sqlite3.connect(self.server.directory / "ostiary.db", timeout=30)
        try:
            yield connection
        finally:
            connection.close()

    def call(self, path: str, token: str | None = None) -> httpx2.Response:
        """One call at the gateway."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx2.get(self.url + path, headers=headers, timeout=5)

    def once_published(self, path: str) -> None:
        """Wait until the gateway serves the API of this path."""
        token = self.token()
        until(lambda: self.call(path, token).status_code == 200, 30, "the API at the gateway")


@contextmanager
def product(workers: int = 1, **environment: str) -> Iterator[Product]:
    """A server in a scratch directory."""
    folder = Path(tempfile.mkdtemp(prefix="ostiary-bench-"))
    served = Product(folder, workers, **environment)
    try:
        yield served.start()
    finally:
        served.server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
