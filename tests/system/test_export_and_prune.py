"""`ostiary export` and `ostiary apply --prune` against a running server."""

from pathlib import Path

from tests.system.server import Server

EXAMPLE = Path(__file__).parents[2] / "examples" / "quickstart" / "organization.yaml"
MARKER = "s3cret-marker"
SECRETS = {
    name: f"{MARKER}-{name}"
    for name in (
        *("EXTERNAL_STORE_PASSWORD", "BOB_PASSWORD", "ALEX_PASSWORD", "MOBILE_SECRET"),
        *("SAMPLER_SECRET", "NEWCOMER_SECRET", "CONSOLE_SECRET", "EXTERNAL_AUTH_BASIC_PASSWORD"),
    )
}


def test_the_example_is_exported_changed_and_pruned(server: Server, tmp_path: Path):
    assert server.ostiary("apply", "-f", str(EXAMPLE), **SECRETS).returncode == 0
    there = tmp_path / "export.yaml"

    exported = server.ostiary("export", "my_company", "-o", str(there))
    assert (exported.returncode, exported.stdout) == (0, "")
    text = there.read_text()
    assert MARKER not in text + exported.stderr + server.said()

    again = server.ostiary("apply", "--prune", "--dry-run", "-f", str(there), **SECRETS)
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "nothing to change"), again.stderr

    before, separator, after = text.partition("  - name: Newcomer\n")
    assert separator
    newcomer, other, rest = after.partition("  - name: ")
    assert "newcomer" in newcomer
    there.write_text(before + other + rest)
    planned = server.ostiary("apply", "--prune", "--dry-run", "-f", str(there), **SECRETS)
    pruned = server.ostiary("apply", "--prune", "-f", str(there), **SECRETS)
    assert planned.stdout.splitlines()[1:3] == pruned.stdout.splitlines()[1:3]
    assert pruned.stdout.splitlines()[1:3] == ["  - client       newcomer", "  - application  Newcomer"]
    assert pruned.stdout.splitlines()[-1] == "2 removed"
    assert "newcomer" not in server.ostiary("export", "my_company").stdout.lower()
