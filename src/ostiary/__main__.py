"""`python -m ostiary` is the command `ostiary`."""

from ostiary.cli import main

main()
