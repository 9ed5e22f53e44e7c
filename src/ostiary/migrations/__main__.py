"""Write a migration from the difference between the tables and a fresh database: `make migration m="…"`."""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from ostiary.foundation.database import write_engine


def main() -> None:
    """Autogenerate one revision; look at it before committing it."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with tempfile.TemporaryDirectory() as directory:
        engine = write_engine(f"sqlite:///{directory}/empty.db")
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            command.revision(config, message=sys.argv[1], autogenerate=True)


if __name__ == "__main__":
    main()
