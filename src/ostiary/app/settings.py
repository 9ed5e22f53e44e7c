"""Every setting of an installation: each slice's section, put together.

Order: defaults, then the TOML file, then `OSTIARY_…` environment variables (`OSTIARY_TOKENS__…`
reaches into a section), then what the command line says. Unknown keys are errors everywhere.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from ostiary.foundation.audit import AuditSettings
from ostiary.foundation.http_client import LOOPBACK, Network, OutboundPolicy
from ostiary.foundation.settings import InvalidSettings, Secret, Section, describe, read_toml
from ostiary.foundation.telemetry import LogFormat
from ostiary.gateway.settings import GatewaySettings
from ostiary.identity.settings import IdentitySettings
from ostiary.oauth.settings import TokenSettings
from ostiary.permissions import AccessSettings

PREFIX = "OSTIARY_"
_NOT_SETTINGS = frozenset(
    PREFIX + name
    for name in (
        "ACCESS_TOKEN",
        "ADMIN_PASSWORD",
        "TRACE_PASSWORD",
        "TRACE_TOKEN",
        "URL",
        "CA",
        "CONFIG",
        "ENROL",
        "ORG",
        "PYTHON",
    )
)


class OutboundSettings(Section):
    """Where the installation itself may send requests."""

    allowed_networks: tuple[Network, ...] = LOOPBACK
    """Loopback and private networks that user stores and backends may be in; public addresses always may."""
    sqlite_directory: Path | None = None
    """Where SQLite files of user stores may be; without it no organization can connect any file."""


class TLSSettings(Section):
    """A certificate of your own; without one, a self-made authority signs one at first start."""

    certificate: Path
    """PEM, the server's certificate first, then its chain."""
    key: Path
    """PEM, not encrypted."""


class Settings(BaseSettings):
    """What an installation is told."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    data_dir: Path = Path("ostiary-data")
    """Everything an installation keeps on disk."""
    management_port: int = Field(9443, ge=1, le=65535)
    """Of the listener for administrators, with TLS."""
    gateway_port: int = Field(8243, ge=1, le=65535)
    """Of the listener for applications, with TLS."""
    node_port: int = Field(9444, ge=1, le=65535)
    """Of the listener for gateway nodes on machines of their own; `ostiary control-plane` alone opens it."""
    http_port: int = Field(0, ge=0, le=65535)
    """A cleartext copy of the gateway listener on loopback; 0 is off."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """A listener for Prometheus on loopback, without TLS: `/metrics` and others; 0 is off."""
    address: str = "0.0.0.0"  # noqa: S104 (a server's listeners)
    """Where both listeners listen; all interfaces unless set."""
    workers: int = Field(1, ge=1, le=64)
    """Processes of the control plane. One is ready soonest; more use more cores and cover for each other."""
    public_url: str | None = None
    """What clients call the management listener; issuers start with it. Never taken from a request."""
    database_url: Secret | None = None
    """`postgresql+psycopg://…` or `sqlite:///PATH`; unset, SQLite in the data directory."""
    log_format: LogFormat = "text"
    """Lines for people, or one JSON object a line."""
    haproxy: Path | None = None
    """The HAProxy to run; without it the first fit one of PATH and the installed package."""
    tls: TLSSettings | None = None
    outbound: OutboundSettings = OutboundSettings()
    tokens: TokenSettings = TokenSettings()
    identity: IdentitySettings = Field(default_factory=IdentitySettings)
    gateway: GatewaySettings = GatewaySettings()
    access: AccessSettings = AccessSettings()
    audit: AuditSettings = AuditSettings()

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("public_url")
    @classmethod
    def _plain_https(cls, value: str | None) -> str | None:
        if value is not None and (
            not value.startswith("https://") or value.endswith("/") or "?" in value or "#" in value
        ):
            raise ValueError("expected an https:// URL without a slash at its end, a query or a fragment")
        return value

    @property
    def issuer_base(self) -> str:
        """The URL all issuers start with."""
        return self.public_url or f"https://localhost:{self.management_port}"

    @property
    def database(self) -> str:
        """The database's URL; SQLite in the data directory unless set."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'ostiary.db'}"

    @property
    def outbound_policy(self) -> OutboundPolicy:
        """Where outbound requests may go, our own listeners excepted."""
        own = frozenset({self.management_port, self.gateway_port, self.http_port, self.metrics_port} - {0})
        return OutboundPolicy(self.outbound.allowed_networks, own, self.outbound.sqlite_directory)


def load_settings(config: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; `overrides` are the command line's and win (None is not said).

    Raises:
        InvalidSettings: one line for each that is unknown or wrong, naming where it was said.
    """
    from_file = {} if config is None else read_toml(config)
    _refuse_unknown_variables(os.environ)

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, from_file)

    try:
        return Loaded(**{name: value for name, value in (overrides or {}).items() if value is not None})
    except ValidationError as error:
        raise describe(error, "settings" if config is None else str(config)) from None
    except SettingsError as error:
        raise InvalidSettings(f"settings: {error}") from None


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that give a child process exactly these settings."""
    values = settings.model_dump(mode="json", exclude_unset=True, exclude={"database_url"})
    flat = {PREFIX + name.upper(): _text(value) for name, value in values.items() if value is not None}
    if settings.database_url is not None:
        flat[PREFIX + "DATABASE_URL"] = settings.database_url.get_secret_value()
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for variable in sorted(environment):
        name = variable.partition("__")[0].upper()
        if variable.upper().startswith(PREFIX) and name not in known | _NOT_SETTINGS:
            close = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise InvalidSettings(f"environment: {variable}: unknown setting{hint}")
