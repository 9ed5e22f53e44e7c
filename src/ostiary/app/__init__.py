"""The composition root: settings, migrations and the wiring of every slice.

The supervisor reads settings here and serves nothing: so what serves is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ostiary.app.settings import Settings, environment_of, load_settings
from ostiary.app.tracing import TracingNotInstalled, check_tracing

if TYPE_CHECKING:
    from ostiary.app.measuring import worker_counts
    from ostiary.app.migrations import migrate, schema_state
    from ostiary.app.routes import methods_at, openapi, operation_for, operations
    from ostiary.app.store_measures import BREAKER_METRIC
    from ostiary.app.wiring import build_app, framework_of

__all__ = [
    "BREAKER_METRIC",
    "Settings",
    "TracingNotInstalled",
    "build_app",
    "check_tracing",
    "environment_of",
    "framework_of",
    "load_settings",
    "methods_at",
    "migrate",
    "openapi",
    "operation_for",
    "operations",
    "schema_state",
    "worker_counts",
]

_LATE: Final = {
    "BREAKER_METRIC": "store_measures",
    "build_app": "wiring",
    "framework_of": "wiring",
    "methods_at": "routes",
    "migrate": "migrations",
    "openapi": "routes",
    "operation_for": "routes",
    "operations": "routes",
    "schema_state": "migrations",
    "worker_counts": "measuring",
}
"""What is loaded with its first use → the module it is in."""


if not TYPE_CHECKING:  # or mypy would take any name for one of ours

    def __getattr__(name: str) -> Any:
        """Load what is asked for (PEP 562)."""
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
