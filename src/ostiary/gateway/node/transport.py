"""How the agent asks the control plane: httpx's transport on the connections of `outbound_streams`.

The one httpx brings looks at each idle connection by a system call before each request, and hands every
answer through layers of streams, to be read at the end of them.
"""

import ssl
from pathlib import Path
from typing import Final

import httpcore2
import httpx2

from ostiary.foundation.outbound_streams import Streams

_CONNECTIONS: Final = 100
_IDLE_CONNECTIONS: Final = 20
_IDLE_SECONDS: Final = 5.0


class Transport(httpx2.AsyncBaseTransport):
    """Reads each answer whole."""

    def __init__(self, *, socket: Path | None = None, context: ssl.SSLContext | None = None) -> None:
        """Connect to `socket`, or to where a request says, over TLS by `context`."""
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_SECONDS,
            uds=None if socket is None else str(socket),
            network_backend=Streams(),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and read the answer.

        Raises:
            TransportError: there is none; of the class that httpx's own transport would raise.
        """
        try:
            answer = await self._pool.request(
                request.method,
                str(request.url),
                headers=request.headers.raw,
                content=await request.aread(),
                extensions=request.extensions,
            )
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise getattr(httpx2, type(error).__name__)(str(error)) from error
        return httpx2.Response(answer.status, headers=answer.headers, content=answer.content)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
