"""The beginning and the end of a process."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def lasting() -> Iterator[None]:
    """Keep what is made inside from the garbage collector: it stays as long as the process.

    A collection looks at everything there is, and meanwhile nobody is answered: a tenth of a second with all
    that a worker imports, seconds with a large plan.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def end(status: int) -> NoReturn:
    """End this process when everything it had open is closed.

    The interpreter would first take apart all the memory that the kernel takes back at once: most of a second
    for a server. Nothing registered with `atexit` runs.

    Raises:
        OSError: what was printed cannot be written; the process has not ended.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it was closed before we began
            stream.flush()
    os._exit(status)
