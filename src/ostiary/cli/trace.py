"""`ostiary trace call`: a call through the gateway on this machine that ends before the backend.

HAProxy itself decides, on a private socket of its own, so what is printed is what a caller would meet: the
call is logged and counts against limits. A refused one is explained as `ostiary explain` does it.
"""

import base64
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from ostiary.cli.client import ManagementClient
from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.errors import OperatorError
from ostiary.cli.explain import ask, lines
from ostiary.cli.trace_login import login

if TYPE_CHECKING:
    from rich.text import Text

command = typer.Typer(help="What would happen, step by step.", no_args_is_help=True)
_METHOD = re.compile(r"[A-Za-z]{1,20}\Z")
_TIMEOUT_SECONDS = 5.0
_VARIABLE = "OSTIARY_TRACE_TOKEN"


@command.callback()
def _trace() -> None:
    """What would happen, step by step."""


command.command()(login)


@command.command()
def call(
    method: Annotated[str, typer.Argument(help="GET, POST, …")],
    url: Annotated[str, typer.Argument(help="The URL at the gateway, or its path.")],
    token_file: Annotated[
        Path | None, typer.Option(help=f"A file with the access token; else {_VARIABLE}, else none.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The installation on this machine.")] = None,
) -> None:
    """Make a call that ends before the backend: why it is refused, or what the backend would get."""
    from rich.console import Console

    directory = _directory(data_dir)
    answer = _send(directory, method, _target(url), _token(token_file))
    console = Console(highlight=False, soft_wrap=True)
    for line in _told(directory, answer):
        console.print(line)
    if answer.status_code != 200:
        raise typer.Exit(1)


def _directory(given: Path | None) -> DataDirectory:
    named = given or os.environ.get("OSTIARY_DATA_DIR")
    if not named:
        raise OperatorError("which gateway? Say --data-dir DIR (or OSTIARY_DATA_DIR) on its machine")
    return DataDirectory(Path(named))


def _token(file: Path | None) -> str | None:
    """The token, from where no list of processes and no history of a shell shows it."""
    if file is None:
        return os.environ.get(_VARIABLE) or None
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{file}: cannot be read") from error


def _target(url: str) -> str:
    parts = urlsplit(url)
    if not parts.path.startswith("/"):
        raise OperatorError(f"{url}: a URL of the gateway or a path that begins with / was expected")
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _send(directory: DataDirectory, method: str, target: str, token: str | None) -> Any:
    import httpx2

    if not _METHOD.match(method):
        raise OperatorError("METHOD: a method such as GET was expected")
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    transport = httpx2.HTTPTransport(uds=str(directory.run / "gateway.trace.sock"))
    try:
        with httpx2.Client(transport=transport, timeout=_TIMEOUT_SECONDS) as http:
            return http.request(method.upper(), f"http://gateway{target}", headers=headers)
    except (httpx2.TransportError, OSError) as error:
        raise OperatorError(
            f"{directory.path}: no gateway answers: is `ostiary serve` running on it?"
        ) from error
    except (ValueError, UnicodeError) as error:
        raise OperatorError("the token or the URL has characters that cannot be sent") from error


def _told(directory: DataDirectory, answer: Any) -> "list[Text]":
    if answer.status_code == 200 and "assertion" in answer.text:
        return granted(answer.json(), _published(directory))
    request_id = answer.headers.get("x-request-id", "")
    try:
        with ManagementClient.from_environment(directory.path) as client:
            return lines(ask(client, f"/api/server/v1/explanations/{request_id}"))
    except OperatorError as error:
        said = f"{answer.status_code} {answer.text.strip()}"
        raise OperatorError(f"{said}\nwhy is not known here ({error}); request {request_id}") from error


def _published(directory: DataDirectory) -> Any:
    """The keys backends verify by; `None` where no control plane runs on this machine."""
    try:
        with ManagementClient.from_environment(directory.path) as client:
            return client.request("GET", "/gateway/jwks")
    except OperatorError:
        return None


def granted(decided: Any, published: Any) -> "list[Text]":
    """Write what the backend would get; the assertion's signature is never among it."""
    from rich.text import Text

    header, claims = (_decoded(part) for part in decided["assertion"].split(".")[:2])
    scheme = "https" if decided["tls"] else "http"
    lines = [
        Text("  ✓ ", "green") + Text("the call is allowed"),
        Text(f"    API {decided['api']}, application {decided['application']}", "dim"),
        Text("  → ", "bold") + Text(f"{scheme}://{decided['authority']}{decided['path']}", "bold"),
        Text(f"    at {decided['address']} port {decided['port']}", "dim"),
        Text("  X-JWT-Assertion", "bold"),
        Text(f"    header {json.dumps(header, ensure_ascii=False)}"),
    ]
    lines += [Text(f"    {name}: {json.dumps(value, ensure_ascii=False)}") for name, value in claims.items()]
    return [*lines, _verified(decided["assertion"], header, published)]


def _verified(assertion: str, header: Any, published: Any) -> "Text":
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey
    from rich.text import Text

    if published is None:
        return Text("  ! its signature was not verified: no control plane runs on this machine", "yellow")
    found = [key for key in published["keys"] if key.get("kid") == header.get("kid")]
    try:
        jws.deserialize_compact(assertion, ECKey.import_key(found[0]), algorithms=["ES256"])
    except (JoseError, ValueError, IndexError):
        return Text("  ✗ its signature is not by a key of /gateway/jwks: backends will refuse it", "red")
    return Text("  ✓ ", "green") + Text("its signature is by a key of /gateway/jwks")


def _decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
