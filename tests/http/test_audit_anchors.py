"""Anchors of the audit log on the real app: what the server notes, and what the command makes of it."""

from pathlib import Path

import orjson
import pytest
from tests.http.test_audit import API, a_client, an_installation, run

from ostiary.app import Settings
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import write_engine


def test_a_tail_cut_off_in_the_database_is_said_by_the_server_and_by_the_command(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """Attack: somebody with the database alone removes the last records; what is done later goes on there."""
    anchors = settings.data_dir / "audit-anchors.jsonl"
    here = ("--data-dir", str(settings.data_dir))
    with an_installation(settings) as installation:
        installation.call("POST", f"{API}/oauth/v1/clients", 201, a_client())
    copy = settings.data_dir / "kept-elsewhere"
    copy.write_bytes(anchors.read_bytes())
    assert run("verify", *here).exit_code == 0
    engine = write_engine(settings.database)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM audit_log WHERE sequence = 2")
        connection.exec_driver_sql("DELETE FROM audit_checkpoints")
    engine.dispose()

    cut = run("verify", "acme", *here)
    with an_installation(settings) as installation:
        installation.call("POST", f"{API}/oauth/v1/clients", 201, a_client(client_id="later"))
    grown = run("verify", "acme", *here, "--anchors", str(copy))

    assert "records 2 to 2 are missing: record 2 was there at" in str(cut.exception)
    assert "record 2 is not the one that was there at" in str(grown.exception)
    assert "audit_log_was_cut" in "".join(capfd.readouterr())
    assert len(anchors.read_bytes().splitlines()) == len(copy.read_bytes().splitlines())


def test_an_organization_that_is_anchored_and_not_there_is_said(settings: Settings, tmp_path: Path) -> None:
    with an_installation(settings):
        pass
    line = {"organization": "o-gone", "sequence": 7, "hash": "0" * 64, "at": utc_now().isoformat()}
    (tmp_path / "copy").write_bytes(orjson.dumps(line))
    (tmp_path / "old").write_bytes(orjson.dumps(line | {"at": "2020-01-01T00:00:00+00:00"}))
    here = ("--data-dir", str(settings.data_dir), "--anchors")

    assert "the organization o-gone" in str(run("verify", *here, str(tmp_path / "copy")).exception)
    assert run("verify", *here, str(tmp_path / "old")).exit_code == 0  # it was removed, and kept long enough


def test_a_file_that_is_no_copy_of_the_anchors_proves_nothing(settings: Settings, tmp_path: Path) -> None:
    """Another file by mistake, or one that was emptied, must not pass for a log whose end is proven."""
    with an_installation(settings):
        pass
    (tmp_path / "empty").touch()
    (tmp_path / "other").write_text("root:x:0:0\n{}\n[1]\n")
    here = ("--data-dir", str(settings.data_dir), "--anchors")

    assert "there is no file" in str(run("verify", *here, str(tmp_path / "none")).exception)
    for name in ("empty", "other"):
        assert "there is no anchor in it" in str(run("verify", *here, str(tmp_path / name)).exception)
