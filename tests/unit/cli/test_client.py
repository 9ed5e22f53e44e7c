"""The management client: which server it finds, how it proves itself, and what it says when that fails."""

import socket
from pathlib import Path

import httpx2
import pytest

from ostiary.cli.client import ManagementClient, Refused, answering
from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.errors import OperatorError


def _client(answer: httpx2.Response | Exception) -> ManagementClient:
    def handle(_request: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    http = httpx2.Client(transport=httpx2.MockTransport(handle), base_url="https://server")
    return ManagementClient(http, "https://server")


def test_an_answer_is_its_json():
    assert _client(httpx2.Response(200, json={"a": 1})).request("GET", "/x") == {"a": 1}


def test_an_empty_answer_is_none():
    assert _client(httpx2.Response(204)).request("DELETE", "/x") is None


def test_a_refusal_carries_the_problem_and_reads_as_one_line():
    problem = {"code": "400", "message": "Bad Request", "description": "name: too long", "traceId": "t-1"}

    with pytest.raises(Refused) as refused:
        _client(httpx2.Response(400, json=problem)).request("POST", "/x", {})

    assert str(refused.value) == "the server refused: name: too long (400)"
    assert (refused.value.status, refused.value.code, refused.value.trace_id) == (400, "400", "t-1")


def test_a_refusal_that_is_no_json_is_still_one_line():
    with pytest.raises(Refused, match=r"^the server refused: the credentials are not accepted \(401\)$"):
        _client(httpx2.Response(401, text="<html>")).request("GET", "/x")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx2.ConnectError("refused"), "no server answers: is `ostiary serve` running?"),
        (httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"), "set OSTIARY_CA to the server's ca.pem"),
        (httpx2.ReadTimeout("slow"), "no answer within 30 seconds"),
    ],
)
def test_a_server_that_cannot_be_reached_is_one_line_with_advice(error: Exception, said: str):
    with pytest.raises(OperatorError, match=r"^https://server: .*") as problem:
        _client(error).request("GET", "/x")

    assert said in str(problem.value)


def test_a_call_that_may_take_long_says_how_long_it_waited():
    with pytest.raises(OperatorError, match="no answer within 600 seconds"):
        _client(httpx2.ReadTimeout("slow")).request("POST", "/x", {}, 600)


def test_nothing_says_which_server():
    with pytest.raises(OperatorError, match=r"^which server\? .*--data-dir DIR .* OSTIARY_URL"):
        ManagementClient.from_environment(environment={})


def test_a_directory_without_a_running_server_says_how_to_start_one(tmp_path: Path):
    with pytest.raises(
        OperatorError, match=r"no server runs on it: start one with `ostiary serve --data-dir"
    ):
        ManagementClient.from_environment(environment={"OSTIARY_DATA_DIR": str(tmp_path)})


def test_a_directory_that_is_not_there_is_said_not_to_be(tmp_path: Path):
    with pytest.raises(OperatorError, match=r"/absent: this user sees no such directory: start one with"):
        ManagementClient.from_environment(environment={"OSTIARY_DATA_DIR": str(tmp_path / "absent")})


def test_a_url_without_credentials_says_which_ones_are_needed():
    with pytest.raises(
        OperatorError, match=r"who are you\? Set OSTIARY_ACCESS_TOKEN \(or OSTIARY_ADMIN_PASSWORD"
    ):
        ManagementClient.from_environment(environment={"OSTIARY_URL": "https://server"})


def test_a_password_is_never_sent_unprotected():
    environment = {"OSTIARY_URL": "http://server", "OSTIARY_ADMIN_PASSWORD": "secret"}

    with pytest.raises(OperatorError, match=r"OSTIARY_URL: http://server is not protected"):
        ManagementClient.from_environment(environment=environment)


def test_a_worker_that_has_just_died_is_passed_over(tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(run / "admin-0.sock"))
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(run / "admin-1.sock"))
        living.listen()

        assert [path.name for path in answering(DataDirectory(tmp_path))] == ["admin-1.sock"]


def test_a_certificate_authority_that_cannot_be_read_is_named(tmp_path: Path):
    missing = str(tmp_path / "missing.pem")
    environment = {"OSTIARY_URL": "https://server", "OSTIARY_ADMIN_PASSWORD": "secret", "OSTIARY_CA": missing}

    with pytest.raises(OperatorError, match=r"OSTIARY_CA: .*missing\.pem cannot be used"):
        ManagementClient.from_environment(environment=environment)
