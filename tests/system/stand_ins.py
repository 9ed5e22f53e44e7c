"""Whom a data plane talks to, in this process: a backend that echoes, and HTTP on a unix socket."""

import json
import socketserver
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _TCPServer(ThreadingHTTPServer):
    request_queue_size = 128
    """A full queue costs the caller a second: the kernel drops what it cannot queue, and tries again."""

    def handle_error(self, *_: object) -> None:
        """HAProxy ends idle connections when it stops."""


class Backend:
    """Answers every call with the request that reached it, as JSON."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        """Of every answer, besides."""
        calls, headers = self.calls, self.headers

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                call = {
                    "method": self.command,
                    "path": self.path,
                    "headers": [[name.lower(), value] for name, value in self.headers.items()],
                    "body": body.decode("latin-1"),
                }
                calls.append(call)
                text = json.dumps(call).encode()
                more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                head = f"HTTP/1.1 200 OK\r\n{more}Content-Length: {len(text)}\r\n\r\n"
                self.wfile.write(head.encode() + (b"" if self.command == "HEAD" else text))

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = _TCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """Take TLS connections from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """HAProxy's checks end their connection as soon as they know enough."""


class UnixHTTP:
    """An HTTP server on a unix socket; `answer` is what it says to (path, body), or `None` to stay silent."""

    def __init__(self, path: Path, answer: Callable[[str, bytes], tuple[int, str] | None]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, bytes]] = []
        self.headers: list[list[tuple[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.asked.append((self.path, body))
                outer.headers.append([(name.lower(), value) for name, value in self.headers.items()])
                said = outer.answer(self.path, body)
                if said is None:
                    time.sleep(30)  # hangs; the thread dies with the test process
                    return
                head = f"HTTP/1.1 {said[0]} Said\r\nContent-Length: {len(said[1])}\r\n\r\n"
                self.wfile.write((head + said[1]).encode())

            do_GET = do_POST = reply

            def log_message(self, *_: object) -> None:
                pass

            def address_string(self) -> str:
                return "unix"

        path.unlink(missing_ok=True)
        self._server = _UnixServer(str(path), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
