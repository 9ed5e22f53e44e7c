"""The composition root: settings, migrations and the wiring of every slice."""

from ostiary.app.migrations import migrate
from ostiary.app.settings import Settings, environment_of, load_settings
from ostiary.app.wiring import build_app

__all__ = ["Settings", "build_app", "environment_of", "load_settings", "migrate"]
