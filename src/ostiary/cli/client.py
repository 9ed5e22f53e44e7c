"""The management API as the client commands use it.

On the server's machine and as its user the commands go through the administration socket and need no
password. Elsewhere they go to `OSTIARY_URL` and prove themselves with a token, or with the administrator's
password where the server takes passwords.
"""

import os
import socket
import ssl
from collections.abc import Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2

from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.errors import OperatorError

TIMEOUT_SECONDS = 30.0
_LOCAL = "http://local-administrator"


def place_of(org: str | None) -> str:
    """Where the paths of an organization begin; those of the default one where none is named."""
    return "" if org is None else f"/t/{quote(org, safe='')}"


class Refused(OperatorError):
    """The server answered and refused; carries its problem document."""

    def __init__(
        self,
        status: int,
        code: str,
        description: str,
        trace_id: str = "",
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        named = str(status) if code in ("", str(status)) else f"{status} {code}"
        super().__init__(f"the server refused: {description} ({named})")
        self.status = status
        self.code = code
        self.description = description
        self.trace_id = trace_id
        self.problem = problem or {}


class ManagementClient:
    """Speaks JSON with one server, as one administrator."""

    def __init__(self, http: httpx2.Client, where: str) -> None:
        self._http = http
        self._where = where

    @classmethod
    def from_environment(
        cls, data_dir: Path | None = None, environment: Mapping[str, str] = os.environ
    ) -> Self:
        """Find the server: `data_dir` or `OSTIARY_DATA_DIR`, else `OSTIARY_URL`.

        Raises:
            OperatorError: nothing says where the server is, or what is said cannot work.
        """
        named = data_dir or (
            Path(environment["OSTIARY_DATA_DIR"]) if environment.get("OSTIARY_DATA_DIR") else None
        )
        if named is not None and (data_dir is not None or not environment.get("OSTIARY_URL")):
            return cls._local(DataDirectory(named))
        if url := environment.get("OSTIARY_URL"):
            return cls._remote(url.rstrip("/"), environment)
        raise OperatorError(
            "which server? On its machine say --data-dir DIR (or OSTIARY_DATA_DIR), "
            "elsewhere set OSTIARY_URL and OSTIARY_ACCESS_TOKEN"
        )

    @classmethod
    def _local(cls, directory: DataDirectory) -> Self:
        sockets = answering(directory)
        if not sockets:
            raise OperatorError(_nobody(directory.path))
        transport = httpx2.HTTPTransport(uds=str(sockets[0]))
        return cls(httpx2.Client(transport=transport, base_url=_LOCAL), str(directory.path))

    @classmethod
    def _remote(cls, url: str, environment: Mapping[str, str]) -> Self:
        if not url.startswith("https://"):
            raise OperatorError(f"OSTIARY_URL: {url} is not protected: an https:// address was expected")
        http = httpx2.Client(
            base_url=url,
            auth=_proof(url, environment),
            verify=_trust(environment.get("OSTIARY_CA")),
            follow_redirects=False,
        )
        return cls(http, url)

    def request(
        self, method: str, path: str, body: Any = None, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> Any:
        """Send JSON and return the JSON answer, `None` for an empty one.

        Raises:
            Refused: the server answered with a refusal.
            OperatorError: the server could not be reached, or is not an Ostiary.
        """
        return _content(self._send(method, path, body, timeout_seconds))

    def _send(self, method: str, path: str, body: Any, timeout_seconds: float) -> httpx2.Response:
        try:
            return self._http.request(method, path, json=body, timeout=timeout_seconds)
        except (httpx2.ConnectError, FileNotFoundError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                advice = "its certificate is not trusted: set OSTIARY_CA to the server's ca.pem"
            else:
                advice = "no server answers: is `ostiary serve` running?"
            raise OperatorError(f"{self._where}: {advice}") from error
        except httpx2.TimeoutException as error:
            raise OperatorError(f"{self._where}: no answer within {timeout_seconds:.0f} seconds") from error
        except httpx2.HTTPError as error:
            raise OperatorError(f"{self._where}: {error}") from error

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _proof(url: str, environment: Mapping[str, str]) -> httpx2.Auth:
    """A token, or the password of `admin` where the server takes passwords."""
    if token := environment.get("OSTIARY_ACCESS_TOKEN"):
        return _Bearer(token)
    if password := environment.get("OSTIARY_ADMIN_PASSWORD"):
        return httpx2.BasicAuth("admin", password)
    raise OperatorError(
        f"{url}: who are you? Set OSTIARY_ACCESS_TOKEN "
        "(or OSTIARY_ADMIN_PASSWORD where the server takes passwords)"
    )


class _Bearer(httpx2.Auth):
    """A token of the environment (RFC 6750 §2.1)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _nobody(path: Path) -> str:
    is_there = os.path.exists(path)  # False, and no exception, where a folder above is closed to us
    if is_there and not os.access(path, os.X_OK):
        return f"{path}: it cannot be read by this user: run this as the user who runs the server"
    why = "no server runs on it" if is_there else "this user sees no such directory"
    return f"{path}: {why}: start one with `ostiary serve --data-dir {path}`"


def _trust(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise OperatorError(f"OSTIARY_CA: {ca} cannot be used: {error.strerror or error}") from error


def _content(response: httpx2.Response) -> Any:
    if response.is_success:
        return response.json() if response.content else None
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    code = str(problem.get("code") or problem.get("error") or "")
    description = (
        problem.get("description") or problem.get("error_description") or _plain(response.status_code)
    )
    if response.status_code == 401 and str(response.request.url).startswith(_LOCAL):
        raise OperatorError("there is no such organization")  # or it would know this administrator
    trace_id = str(problem.get("traceId", ""))
    raise Refused(response.status_code, code, str(description), trace_id, problem)


def _plain(status: int) -> str:
    if status == 401:
        return "the credentials are not accepted"
    if status == 403:
        return "these credentials do not allow it"
    return "it did not say why"


def answering(directory: DataDirectory) -> list[Path]:
    """The administration sockets on which a worker listens; one that has just died is passed over."""
    if not os.access(directory.run, os.X_OK):
        return []
    return [path for path in sorted(directory.run.glob("admin-*.sock")) if _listens(path)]


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        return connection.connect_ex(str(path)) == 0
