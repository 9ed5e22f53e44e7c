"""Settings of the authorization server: how long tokens and keys live (section `[tokens]`)."""

from datetime import timedelta

from pydantic import Field, model_validator

from ostiary.foundation.settings import Section

_SECOND = timedelta(seconds=1)


class TokenSettings(Section):
    """Lifetimes. Numbers are seconds; ISO 8601 durations are understood too."""

    access_token_lifetime: timedelta = Field(timedelta(hours=1), ge=_SECOND)
    """Where a client has none of its own."""

    refresh_token_lifetime: timedelta = Field(timedelta(days=1), ge=_SECOND)
    """Of each refresh token of a family, counted from its issue."""

    validity_period_max: timedelta = Field(timedelta(days=30), ge=_SECOND)
    """The longest `validity_period` a client marked for it may ask for."""

    unlimited_lifetime: timedelta = Field(timedelta(days=36_500), ge=_SECOND)
    """What `validity_period=-1` means for clients marked for that: RFC 9068 §2.2 wants an `exp`."""

    refresh_retry_window: timedelta = Field(timedelta(seconds=10), ge=timedelta(0))
    """How long a confidential client that lost the answer may ask for the same successor."""

    reauthenticate_after: timedelta = Field(timedelta(hours=12), ge=_SECOND)
    """How long an outside user store's last word holds; refresh ends then, unless that was asked."""

    jwks_max_age: timedelta = Field(timedelta(seconds=300), ge=_SECOND)
    """How long `/oauth2/jwks` may be cached; a key is announced for longer than this before it signs."""

    @model_validator(mode="after")
    def _bounded(self) -> "TokenSettings":
        if self.access_token_lifetime > self.validity_period_max:
            raise ValueError("access_token_lifetime must not exceed validity_period_max")
        return self
