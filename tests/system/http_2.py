"""Just enough HTTP/2 (RFC 9113) to make one call after the other on a connection that is kept."""

import socket
import ssl
from pathlib import Path
from types import TracebackType

DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK, _END_OF_HEADERS, _END = 0x1, 0x4, 0x5
_INITIAL_ROOM, _LARGEST = 65_535, 16_384  # RFC 9113 §6.9.2, §4.2
_INDEXED = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}


class HTTP2:
    """One connection to a listener on this machine."""

    def __init__(self, port: int, ca: Path) -> None:
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._connection = context.wrap_socket(plain, server_hostname="localhost")
        self._connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(SETTINGS, 0, 0, b""))
        self._stream = self._connection.makefile("rb")
        self._next = 1
        self._room = {0: _INITIAL_ROOM}  # by stream, how many bytes of bodies the other side takes
        self.is_going_away = False
        """Whether the other side takes no further call here (RFC 9113 §6.8)."""

    def __enter__(self) -> "HTTP2":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, path: str, token: str) -> int | None:
        """Make a call; its status, or `None` where the other side says that it has not looked at it."""
        return self._answer(self._ask("GET", path, token, _END))

    def post(self, path: str, token: str, body: bytes) -> tuple[int | None, set[int]]:
        """Make a call whose body comes after its head; its status, and the errors its stream was reset with.

        All of the body is sent, as the other side makes room for it, until it says that it has heard enough.
        """
        mine = self._ask("POST", path, token, _END_OF_HEADERS)
        self._room[mine] = _INITIAL_ROOM
        status, errors, is_over = None, set(), False
        while not is_over:
            while body and (size := min(len(body), _LARGEST, self._room[0], self._room[mine])) > 0:
                part, body = body[:size], body[size:]
                self._room[0] -= size
                self._room[mine] -= size
                self._connection.sendall(_frame(DATA, 0 if body else 1, mine, part))
            kind, flags, stream, payload = self._read()
            if stream != mine:
                continue
            if kind == HEADERS and status is None:
                status = _status(payload)
            if kind == RST:
                errors.add(int.from_bytes(payload, "big"))
            is_over = kind == RST or (kind in (HEADERS, DATA) and bool(flags & 1))
        errors |= self._errors_until_it_answers(mine)
        return status, errors - {0}

    def _errors_until_it_answers(self, mine: int) -> set[int]:
        """What is said of the stream until all we have sent was read."""
        errors = set()
        self._connection.sendall(_frame(PING, 0, 0, b"all read"))
        while True:
            kind, flags, stream, payload = self._read()
            if kind == RST and stream == mine:
                errors.add(int.from_bytes(payload, "big"))
            if kind == PING and flags & _ACK:
                return errors

    def _ask(self, method: str, path: str, token: str, flags: int) -> int:
        fields = {
            ":method": method,
            ":scheme": "https",
            ":authority": "gateway.example",
            ":path": path,
            "authorization": f"Bearer {token}",
        }
        block = b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields.items())
        mine, self._next = self._next, self._next + 2
        self._connection.sendall(_frame(HEADERS, flags, mine, block))
        return mine

    def _answer(self, mine: int) -> int | None:
        status = None
        while True:
            kind, flags, stream, payload = self._read()
            if kind == GOAWAY:
                self.is_going_away = True
                if int.from_bytes(payload[:4], "big") < mine:
                    return None
            elif kind == HEADERS and stream == mine and status is None:
                status = _status(payload)
            if kind in (HEADERS, DATA) and stream == mine and flags & _ACK:  # END_STREAM is the same bit
                return status

    def _read(self) -> tuple[int, int, int, bytes]:
        head = self._stream.read(9)
        if len(head) < 9:
            raise ConnectionError("the connection was closed instead of an answer")
        payload = self._stream.read(int.from_bytes(head[:3], "big"))
        kind, flags = head[3], head[4]
        if kind == DATA and payload:
            self._connection.sendall(_frame(WINDOW_UPDATE, 0, 0, len(payload).to_bytes(4, "big")))
        if kind in (SETTINGS, PING) and not flags & _ACK:
            self._connection.sendall(_frame(kind, _ACK, 0, payload if kind == PING else b""))
        stream = int.from_bytes(head[5:9], "big")
        if kind == WINDOW_UPDATE and stream in self._room:
            self._room[stream] += int.from_bytes(payload, "big")
        return kind, flags, stream, payload


def _text(text: str) -> bytes:
    """A literal without Huffman coding (RFC 7541 §5.2)."""
    assert len(text) < 127
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _status(block: bytes) -> int:
    """Read `:status`, the first field: indexed (RFC 7541 Appendix A) or a literal named by index 8."""
    if block[0] & 0x80:
        return _INDEXED[block[0] & 0x7F]
    return int(block[2 : 2 + (block[1] & 0x7F)]) if not block[1] & 0x80 else _huffman_status(block)


def _huffman_status(block: bytes) -> int:
    """Three digits of the static Huffman code: 0, 1 and 2 have five bits, the others six."""
    bits = "".join(f"{byte:08b}" for byte in block[2 : 2 + (block[1] & 0x7F)])
    digits = ""
    while len(digits) < 3:
        if bits[:5] in ("00000", "00001", "00010"):
            digits, bits = digits + str(int(bits[:5], 2)), bits[5:]
        else:
            digits, bits = digits + str(int(bits[:6], 2) - 0b011001 + 3), bits[6:]
    return int(digits)
