"""What was measured against what was promised: met, missed by how much, or not measured."""

import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.measuring import RESULTS, kept, table

Row = tuple[str, str, str, str]


def judge(value: float, budget: float, *, at_least: bool = False) -> str:
    """`met`, or by how much it was missed."""
    is_met = value >= budget if at_least else value <= budget
    if is_met:
        return "met"
    times = budget / value if at_least else value / budget
    return f"MISSED: {times:.2f} × the budget"


def _gateway(figures: dict[str, Any]) -> Iterator[Row]:
    found = {one["name"]: one for one in figures["contestants"]}
    bare, ours = found["HAProxy, bare"], found["ours, JWT"]
    stored = figures["stored_decisions"]
    enough = "met" if stored >= 100_000 else "MISSED: the figures below are of a smaller run"
    yield "stored decisions while it is measured", "100,000", f"{stored:,}", enough
    for name in (name for name in found if name.startswith("ours") and "TLS" not in name):
        ratio = found[name]["cpu_micros"] / bare["cpu_micros"]
        yield f"gateway CPU, {name}", "≤ 2.2 × bare HAProxy", f"{ratio:.2f} ×", judge(ratio, 2.2)
    if "ours, JWT, TLS" in found:
        ratio = found["ours, JWT, TLS"]["cpu_micros"] / found["HAProxy, bare, TLS"]["cpu_micros"]
        yield (
            "gateway CPU, ours, JWT, TLS",
            "≤ 2.2 × bare HAProxy with TLS",
            f"{ratio:.2f} ×",
            judge(ratio, 2.2),
        )
    for name in ("Envoy, bare", "Envoy, same checks", "Traefik, same checks"):
        equal = ours if name == "Envoy, bare" else found["ours, JWT, three limits"]  # as many as theirs
        ratio = equal["cpu_micros"] / found[name]["cpu_micros"]
        budget = "below it" if name == "Envoy, bare" else "(shown)"
        yield f"gateway CPU beside {name}", budget, f"{ratio:.2f} ×", judge(ratio, 1.0)
    same = ours["paced_cpu_micros"] / bare["paced_cpu_micros"]
    yield f"gateway CPU at {figures['paced_rate']} calls/s for each", "(shown)", f"{same:.2f} ×", ""
    slower = ours["paced_p99_ms"] / bare["paced_p99_ms"]
    at = f"{figures['paced_rate']} calls/s"
    yield (
        f"gateway p99 at {at}",
        "≤ 2 × bare",
        f"{slower:.2f} × ({ours['paced_p99_ms']} ms)",
        judge(slower, 2),
    )
    apart = abs(found["ours, opaque token"]["cpu_micros"] / ours["cpu_micros"] - 1)
    yield "opaque token beside JWT", "within 10 %", f"{100 * apart:.0f} %", judge(apart, 0.10)
    lost = figures["reload"]["refused"] + figures["reload"]["failed"]
    yield "calls lost by a reload under load", "0", str(lost), judge(lost, 0)


def _miss(figures: dict[str, Any]) -> Iterator[Row]:
    for name, budget in (("jwt", 1.0), ("opaque", 2.0)):
        value = figures[name]["gateway"]
        yield (
            f"miss, {name}: HAProxy + agent",
            f"≤ {budget:.0f} ms CPU",
            f"{value:.2f} ms",
            judge(value, budget),
        )
        whole = value + figures[name]["control_plane"]
        yield (
            f"miss, {name}: with the control plane's part",
            f"≤ {budget:.0f} ms CPU",
            f"{whole:.2f} ms",
            judge(whole, budget),
        )


def _tokens(figures: dict[str, Any]) -> Iterator[Row]:
    cpu = {name: one["cpu_ms"] for name, one in figures.items() if isinstance(one, dict) and "cpu_ms" in one}
    ratio = cpu["client credentials, ours"] / cpu["client credentials, oidc-provider"]
    yield "client credentials, ES256", "≤ 0.7 × oidc-provider", f"{ratio:.2f} ×", judge(ratio, 0.7)
    ratio = cpu["password of PRIMARY"] / cpu["Argon2id alone"]
    yield "password grant, PRIMARY", "≤ 1.15 × Argon2id", f"{ratio:.2f} ×", judge(ratio, 1.15)
    together = cpu.get("Argon2id alone, one a core")
    if together is not None:
        ratio = cpu["password of PRIMARY"] / together
        yield "password grant, PRIMARY, beside as many Argon2id at once", "(shown)", f"{ratio:.2f} ×", "shown"
    more = cpu["password of a REST store"] - cpu["the REST call alone"]
    yield "password grant, REST store", "≤ the call + 1 ms CPU", f"+ {more:.2f} ms", judge(more, 1.0)
    for name in ("introspection", "introspection of tokens asked about once"):
        asked = figures.get(f"{name}, two workers")
        if asked is not None:
            possible = 2000 / asked["cpu_ms"]
            value = f"{asked['calls_per_second']:.0f}/s beside wrk; {possible:.0f}/s by its CPU"
            yield f"{name} on two cores", "≥ 4,000/s", value, judge(possible, 4000, at_least=True)
    yield from _floors(cpu)


def _floors(cpu: dict[str, float]) -> Iterator[Row]:
    """What a token cannot be cheaper than here, for whoever asks where the rest goes."""
    for name in ("a constant from the same server", "one ES256 token signed"):
        if name in cpu:
            part = cpu[name] / cpu["client credentials, ours"]
            value = f"{1000 * cpu[name]:.0f} µs, {100 * part:.0f} % of client credentials"
            yield f"floor: {name}", "(shown)", value, "shown"


def _start(figures: dict[str, Any]) -> Iterator[Row]:
    for name in ("first_seconds", "second_seconds"):
        label = name.replace("_seconds", " start to ready")
        yield label, "< 5 s", f"{figures[name]:.1f} s", judge(figures[name], 5)
    yield "memory of the tree", "< 400 MB", f"{figures['megabytes']:.0f} MB", judge(figures["megabytes"], 400)


def _growth(figures: dict[str, Any]) -> Iterator[Row]:
    sizes = [one for name, one in figures.items() if name != "machine"]
    for one in sizes:
        size = f"{one['apis']:,} APIs, {one['subscriptions']:,} subscriptions"
        took = one.get("change_seconds_worst")
        if took is None:
            yield (
                f"a change at {size}",
                "< 1 s",
                "not done",
                f"MISSED: {one.get('changes_not_done', 'no start')}",
            )
        else:
            yield f"a change at {size}", "< 1 s", f"{took:.2f} s at worst", judge(took, 1)
        if "agent_megabytes" in one:
            yield f"agent memory at {size}", "linear, stated", f"{one['agent_megabytes']:.0f} MB", "stated"
    ratios = [one["call_ratio"] for one in sizes if "call_ratio" in one]
    if len(ratios) > 1:
        more = max(ratios) / min(ratios) - 1
        yield "per-call cost over the sizes", "flat, ± 10 %", f"{100 * more:.0f} % apart", judge(more, 0.2)
    spread = [one["call_ratio_at_all_apis"] for one in sizes if "call_ratio_at_all_apis" in one]
    if len(spread) > 1:
        said = f"{100 * (max(spread) / min(spread) - 1):.0f} % apart"
        yield "the same, with calls spread over all APIs", "(shown)", said, "shown"
    if not any(one["subscriptions"] >= 1_000_000 for one in sizes):
        yield (
            "growth to 1,000,000 subscriptions",
            "the same",
            "",
            "not measured: benchmarks.growth --sizes large",
        )


def _guard(figures: dict[str, Any]) -> Iterator[Row]:
    for one in (one for name, one in figures.items() if name != "machine"):
        size = f"{one['roles']:,} roles, {one['assignments']:,} assignments"
        remembered, anew = one["beyond_token_micros"], one["beyond_token_after_commit_micros"]
        yield f"a decision beyond its token: {size}", "< 50 µs", f"{remembered:.0f} µs", judge(remembered, 50)
        yield f"the same after a commit: {size}", "(shown)", f"{anew:.0f} µs", "shown"


QUESTIONS = {
    "gateway": _gateway,
    "miss": _miss,
    "tokens": _tokens,
    "guard": _guard,
    "start": _start,
    "growth": _growth,
}


def rows() -> list[Row]:
    """Every promise with what is known about it."""
    found: list[Row] = []
    for question, judged in QUESTIONS.items():
        figures = kept(question)
        if figures is None:
            found.append((question, "", "", f"not measured: python -m benchmarks.{question}"))
        else:
            found += judged(figures)
    return found


def main() -> None:
    """Print the table and keep it, with what each part was measured on."""
    lines = [
        "# What was measured against what was promised",
        "",
        "Made by `make bench` from the files beside it. How it was measured: [method](../README.md).",
        "A load average far above the number of cores says that others used the machine too: milliseconds",
        "are too high then, and ratios less certain.",
        "",
    ]
    for question in QUESTIONS:
        figures = kept(question)
        if figures is not None:
            on = figures["machine"]
            lines.append(
                f"* {question}: {on['measured_at']}, commit {on['commit']}, {on['cores']} cores of "
                f"{on['processor']}, load average {on['load_average'][0]} at the end"
            )
    lines += ["", table(("what", "budget", "measured", "verdict"), rows()), ""]
    text = "\n".join(lines)
    print(text)
    (RESULTS / "summary.md").write_text(text)


if __name__ == "__main__":
    sys.exit(main())
