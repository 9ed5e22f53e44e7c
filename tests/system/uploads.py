"""Calls whose body is on its way longer than their answer."""

from http.client import HTTPConnection


def upload(connection: HTTPConnection, path: str, size: int, *, chunked: bool) -> tuple[int, bytes]:
    """Send so many bytes to the last with a token that nobody gave out; then the status and the body."""
    sent = iter([b"x" * size]) if chunked else b"x" * size
    headers = {"Authorization": "Bearer a.refused.token"}
    connection.request("POST", path, sent, headers, encode_chunked=chunked)
    response = connection.getresponse()
    return response.status, response.read()
