"""A small process tree for the supervisor's tests: `python supervised.py RECORD NAME=SHELL COMMAND …`.

A program whose name ends in "!" is never ready. Keeps the process ids, and how often one was
replaced, in the file RECORD. Ends on SIGTERM.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from ostiary.cli.data_directory import write_private
from ostiary.cli.errors import OperatorError
from ostiary.cli.supervisor import Program, Supervisor
from ostiary.foundation.telemetry import configure_logging


async def _at_once() -> bool:
    return True


async def _never() -> bool:
    return False


def _program(argument: str) -> Program:
    name, _, command = argument.partition("=")
    ready = _never if name.endswith("!") else _at_once
    return Program(name, ("/bin/sh", "-c", command), dict(os.environ), ready, stop_within=1.0)


async def main(record: Path, arguments: list[str]) -> None:
    supervisor = Supervisor([[_program(argument)] for argument in arguments], start_within=5.0)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await supervisor.start()
    told: dict[str, int] = {}
    times = 0
    while not stop.is_set():
        if supervisor.process_ids() != told:
            told = supervisor.process_ids()
            times += 1
            write_private(record, json.dumps({"processes": told, "times": times}))
        await asyncio.sleep(0.01)
    await supervisor.stop()


if __name__ == "__main__":
    configure_logging()
    try:
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
    except OperatorError as error:
        sys.exit(f"ostiary: {error}")
