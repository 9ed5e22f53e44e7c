"""node.db: the last plan on disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.unit.gateway.builders import NOW, a_gateway_plan

from ostiary.gateway.node.store import NodeStore
from ostiary.gateway.plan import Entry, GatewayPlan, PlanAnswer

PLAN = a_gateway_plan()


def copied(store: NodeStore, plan: GatewayPlan = PLAN) -> None:
    store.stage(plan.entries(), first=True)
    store.adopt(plan.number, NOW)


def test_a_new_node_has_no_plan(tmp_path: Path) -> None:
    assert NodeStore(tmp_path / "node.db").load() == GatewayPlan()


def test_the_last_plan_survives_a_restart(tmp_path: Path) -> None:
    store = NodeStore(tmp_path / "node.db")
    copied(store)
    store.apply(
        PlanAnswer(8, False, (Entry("api", "api", None), Entry("revocation", "token:x", {"expires_at": 9}))),
        NOW,
    )
    store.close()

    plan = NodeStore(tmp_path / "node.db").load()

    assert (plan.number, dict(plan.apis), set(plan.revocations)) == (8, {}, {"token:x"})
    assert plan.clients == PLAN.clients


def test_a_complete_plan_replaces_everything(tmp_path: Path) -> None:
    store = NodeStore(tmp_path / "node.db")
    copied(store)
    copied(store, GatewayPlan(number=3))

    assert store.load() == GatewayPlan(number=3)


def test_a_copy_that_was_broken_off_leaves_the_plan_as_it_was(tmp_path: Path) -> None:
    store = NodeStore(tmp_path / "node.db")
    copied(store)
    store.stage([Entry("api", "api", None), Entry("revocation", "token:x", {"expires_at": 9})], first=True)
    store.close()

    assert NodeStore(tmp_path / "node.db").load() == PLAN


def test_a_new_copy_has_nothing_of_one_that_was_broken_off(tmp_path: Path) -> None:
    store = NodeStore(tmp_path / "node.db")
    store.stage([Entry("revocation", "token:x", {"expires_at": 9})], first=True)

    copied(store)

    assert store.load() == PLAN


def test_what_is_gone_before_the_copy_is_whole_is_not_in_it(tmp_path: Path) -> None:
    store = NodeStore(tmp_path / "node.db")
    store.stage(PLAN.entries(), first=True)
    store.stage([Entry("api", "api", None)], first=False)

    store.adopt(8, NOW)

    assert store.load() == PLAN.apply(8, [Entry("api", "api", None)])


def test_what_this_version_does_not_know_is_kept_for_the_next(tmp_path: Path) -> None:
    store = NodeStore(tmp_path / "node.db")
    store.apply(
        PlanAnswer(9, False, (Entry("deny_policy", "d", {"organization_id": "org-my_company"}),)), NOW
    )
    store.close()

    assert NodeStore(tmp_path / "node.db").load().barred == {
        ("deny_policy", "d"): ("organization", "org-my_company")
    }


def test_the_file_is_private(tmp_path: Path) -> None:
    copied(NodeStore(tmp_path / "node.db"))

    modes = {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_started_over(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node.db"
    path.write_bytes(content)

    store = NodeStore(path)

    assert store.load() == GatewayPlan()
    copied(store)
    assert store.load() == PLAN


def test_an_entry_that_cannot_be_read_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    store = NodeStore(path)
    copied(store)
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET value = 'x' WHERE kind = 'api'")

    assert NodeStore(path).load() == GatewayPlan()


def test_a_plan_of_another_schema_is_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    store = NodeStore(path)
    copied(store)
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = 0 WHERE name = 'schema_version'")

    assert NodeStore(path).load() == GatewayPlan()


def test_the_last_contact_survives_a_restart(tmp_path: Path) -> None:
    store = NodeStore(tmp_path / "node.db")
    copied(store)
    store.note_contact(NOW + 60)
    store.close()

    again = NodeStore(tmp_path / "node.db")
    assert (again.load(), again.contacted_at()) == (PLAN, NOW + 60)
