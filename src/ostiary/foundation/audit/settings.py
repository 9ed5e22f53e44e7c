"""Settings of the audit log: section `[audit]`."""

from datetime import timedelta

from pydantic import Field

from ostiary.foundation.settings import Section


class AuditSettings(Section):
    """How long it is known who did what. Numbers are seconds; ISO 8601 durations are understood too."""

    kept: timedelta = Field(default=timedelta(days=400), ge=timedelta(days=1))
    """How long records are kept; older ones are dropped up to a signed checkpoint."""

    checkpoint_every: timedelta = Field(default=timedelta(hours=1), ge=timedelta(minutes=1))
    """How often the end of a chain that grew is signed."""
