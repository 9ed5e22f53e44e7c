"""What the agent tells Prometheus (`GET /metrics` on its socket): itself, and what HAProxy counts for it.

Calls and refusals of each API come from HAProxy's stick tables, read when somebody asks; names come from the
plan. Series are bounded: the largest are shown, the rest is one series `other`.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ostiary.foundation import metrics
from ostiary.gateway.plan import GatewayPlan

if TYPE_CHECKING:
    from prometheus_client import Metric

REFUSED_CALLS: Final = "refused_calls"
CALLS: Final = "counts/usage"
_WITHIN_SECONDS: Final = 3.0
_ENTRY: Final = re.compile(r"key=(\S+) .*?(?:http_req_cnt|gpc0)=(\d+)")
_CLASSES: Final = re.compile(r"key=(\S+) .*?http_req_cnt=(\d+) .*?gpc0=(\d+) gpc1=(\d+) gpc2=(\d+)")
Labels = tuple[str, ...]


class AgentMeasures:
    """The counters of one agent."""

    def __init__(self) -> None:
        self.misses = metrics.Counter(
            "ostiary_gateway_misses", "Calls the agent decided, by result: granted, or a refusal", ("result",)
        )
        self.seconds = metrics.Timer("ostiary_gateway_miss_seconds", "How long the agent took to decide one")

    def families(self) -> Iterable[Metric]:
        """Return them with what the operating system says of the process."""
        from prometheus_client import ProcessCollector

        yield from self.misses.families()
        yield from self.seconds.families()
        yield from ProcessCollector(namespace="ostiary_agent", registry=None).collect()


_GAUGES: Final = {
    "ready": "Whether the agent decides",
    "plan_number": "Number of the plan in use",
    "contact_seconds": "Since a control plane answered last",
    "decisions": "Decisions stored",
    "haproxy_workers": "HAProxy workers that have everything",
    "changes_waiting": "Changes HAProxy does not have yet",
    "explanations_lost": "Refused calls not kept",
    "backends_quarantined": "Backends of APIs' own that HAProxy refuses to load",
    "clock_behind_seconds": "How far this machine's clock was behind the control plane's at its last answer",
    "streams": "WebSockets and event streams under way, at most half a second ago",
    "haproxy_reloads": "Configurations HAProxy has loaded since its master started, besides the first",
    "haproxy_reloads_failed": "Those that did not load, since the last that did",
    "haproxy_worker_seconds": "Since the last of them: the age of HAProxy's current worker",
}


def gauges(**values: float) -> Iterable[Metric]:
    """Return present values, each by a name in the table above."""
    for name, value in values.items():
        yield metrics.gauge(f"ostiary_agent_{name}", _GAUGES[name], {(): float(value)})


async def from_haproxy(socket: Path, plan: GatewayPlan) -> list[Metric]:
    """Return what HAProxy counted; nothing where it does not answer."""
    refused, told = await read_table(socket, REFUSED_CALLS), await _told(socket, CALLS)
    calls, answers = _counts(told), _answers(told)
    return [
        _counted(
            ("ostiary_gateway_answers", "Answers to calls let through", ("organization", "api", "class")),
            answers,
            lambda key: (*_api(plan, key.partition("|")[0]), key.rpartition("|")[2]),
        ),
        _counted(
            ("ostiary_gateway_refusals", "Calls the gateway refused", ("organization", "api", "refusal")),
            refused,
            lambda key: (*_api(plan, key.partition("|")[0]), key.partition("|")[2]),
        ),
        _counted(
            ("ostiary_gateway_calls", "Calls let through", ("organization", "api", "application")),
            calls,
            lambda key: (*_api(plan, key.partition("|")[0]), _application(plan, key.partition("|")[2])),
        ),
    ]


def _counted(
    about: tuple[str, str, tuple[str, ...]], table: Mapping[str, int], name: Callable[[str], Labels]
) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    tally: Tally[Labels] = Tally()
    for key, count in table.items():
        tally[name(key)] += count
    family = CounterMetricFamily(about[0], about[1], labels=about[2])
    shown = tally.most_common(metrics.MOST_SERIES)
    for labels, count in shown:
        family.add_metric(labels, count)
    if len(tally) > len(shown):
        family.add_metric([metrics.OTHER] * len(about[2]), tally.total() - sum(count for _, count in shown))
    return family


def _api(plan: GatewayPlan, id: str) -> tuple[str, str]:
    api = plan.apis.get(id)
    if api is None:
        return ("", metrics.OTHER if id else "")
    organization = plan.organizations.get(api.organization_id)
    return ("" if organization is None else organization.name, f"{api.name} {api.version}")


def _application(plan: GatewayPlan, id: str) -> str:
    application = plan.applications.get(id.partition("|")[0])
    return metrics.OTHER if application is None else application.name


async def read_table(socket: Path, name: str) -> dict[str, int]:
    """Read key and count of a stick table of the current worker; empty where there is none, or no HAProxy."""
    return _counts(await _told(socket, name))


def _counts(text: str) -> dict[str, int]:
    return {key: int(count) for key, count in _ENTRY.findall(text)}


def _answers(text: str) -> dict[str, int]:
    """Say of each key and class of status how many answers there were; `ok` is all that is below 300."""
    found: dict[str, int] = {}
    for key, calls, *others in _CLASSES.findall(text):
        counts = list(map(int, others))
        for name, count in zip(("ok", "3xx", "4xx", "5xx"), (int(calls) - sum(counts), *counts), strict=True):
            if count > 0:
                found[f"{key}|{name}"] = count
    return found


async def _told(socket: Path, name: str) -> str:
    try:
        async with asyncio.timeout(_WITHIN_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(socket), limit=2**20)
            try:
                writer.write(f"show table {name}\n".encode())
                return (await reader.read()).decode(errors="replace")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""
