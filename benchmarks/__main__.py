"""`make bench`: every question in turn, then the summary. `make bench q="gateway miss"` asks some."""

import subprocess
import sys

from benchmarks import summary

QUESTIONS = ("start", "miss", "tokens", "guard", "growth", "gateway")


def main(asked: list[str]) -> int:
    """Ask each question in a process of its own; one that fails does not keep the others from being asked."""
    failed = []
    for question in asked or QUESTIONS:
        print(f"\n{question}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{question}"], check=False).returncode != 0:
            failed.append(question)
    summary.main()
    if failed:
        print(f"not measured in this run, it failed: {', '.join(failed)}; what is shown of it is older")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
