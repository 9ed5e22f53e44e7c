"""A client that hangs up in the middle of its body."""

import logging
from typing import Any

import pytest

from ostiary.app import Settings, build_app


async def test_hanging_up_within_a_body_fills_no_log_with_traces(
    settings: Settings, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    app = build_app(settings)
    form = (b"content-type", b"application/x-www-form-urlencoded")
    scope: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1"}
    scope |= {
        "method": "POST",
        "scheme": "https",
        "path": "/token",
        "raw_path": b"/token",
        "query_string": b"",
    }
    scope |= {"root_path": "", "headers": [form], "client": None, "server": ("localhost", 443)}
    events = iter([{"type": "http.request", "body": b"g", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(events)

    async def send(message: Any) -> None:
        sent.append(message)

    with caplog.at_level(logging.DEBUG):
        await app(scope, receive, send)

    assert sent[0]["status"] == 400
    printed = capsys.readouterr()
    assert "Traceback" not in caplog.text + printed.out + printed.err
