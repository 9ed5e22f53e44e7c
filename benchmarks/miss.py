"""What does a call cost whose decision is not stored yet?

Every call has a token nobody has seen. The cost is that of the gateway's HAProxy and agent, of the control
plane's worker beside it, and is compared with what nobody can go below: one ES256 verification and one ES256
signature, in a process that does nothing else.
"""

import argparse
import sys
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks import load, peers
from benchmarks.measuring import cpu_seconds, keep, median, rounds, table
from benchmarks.product import PATH, Product, organization, product

API = f"{PATH}/api0/1.0.0"


def bare(number: int) -> float:
    """Milliseconds of a verification and a signature."""
    key = ec.generate_private_key(ec.SECP256R1())
    public, algorithm, text = key.public_key(), ec.ECDSA(SHA256()), b"x" * 600
    signature = key.sign(text, algorithm)
    started = time.process_time()
    for _ in range(number):
        public.verify(signature, text, algorithm)
        key.sign(text, algorithm)
    return 1000 * (time.process_time() - started) / number


def missed(served: Product, folder: Any, tokens: list[str]) -> dict[str, float]:
    """Call once with each of these tokens; milliseconds of CPU a call."""
    requests = load.write(
        folder / "missed", [load.request(f"{API}/items/{n}", t) for n, t in enumerate(tokens)]
    )
    parts = {
        "haproxy": served.haproxy(),
        "agent": {served.agent()},
        "control_plane": {served.server.find("ostiary.cli.worker")},
    }
    before = {name: cpu_seconds(pids) for name, pids in parts.items()}
    done = load.each_once(served.server.http_port, requests)
    if set(done.statuses) != {200}:
        raise RuntimeError(str(done))
    used = {name: 1000 * (cpu_seconds(pids) - before[name]) / done.calls for name, pids in parts.items()}
    return used | {"gateway": used["haproxy"] + used["agent"]}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure misses of both kinds in turn."""
    with peers.backend() as backend, peers.scratch() as folder, product() as served:
        served.apply(organization(backend.ports["port"]))
        served.once_published(f"{API}/items/1")
        contestants = {
            "bare": lambda: {"gateway": bare(options.calls)},
            "jwt": lambda: missed(served, folder, served.mint(options.calls)),
            "opaque": lambda: missed(served, folder, served.mint_opaque(options.calls)),
        }
        rounds(contestants, 1)
        found = rounds(contestants, options.rounds)
    return {
        name: {part: round(median(one[part] for one in several), 3) for part in several[0]}
        for name, several in found.items()
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    figures = run(parser.parse_args(arguments))
    rows = [
        (
            name,
            one["gateway"],
            f"{one['gateway'] / figures['bare']['gateway']:.1f}",
            *(one.get(part, "") for part in ("haproxy", "agent", "control_plane")),
        )
        for name, one in figures.items()
    ]
    head = (
        "a miss",
        "gateway, CPU ms",
        "× bare",
        "of it HAProxy",
        "of it the agent",
        "control plane besides",
    )
    print(table(head, rows), flush=True)
    keep("miss", figures)


if __name__ == "__main__":
    main(sys.argv[1:])
