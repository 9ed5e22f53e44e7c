"""Settings in, the control plane's ASGI app out. The only file that knows every class."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from importlib import metadata
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Connection
from starlette.types import ASGIApp

from ostiary.apim import forget_usage
from ostiary.apim.endpoints import routers as apim_routers
from ostiary.app.answers import add_error_answers, refused, whatever_happens
from ostiary.app.auditing import Audited, AuditKeeping
from ostiary.app.background import Background, Job
from ostiary.app.callers import Callers
from ostiary.app.document import Documented
from ostiary.app.explaining import Explained, ToldRefusals
from ostiary.app.measuring import Measured, Measures, MetricsPage, MetricsParts
from ostiary.app.personal_data import HOLDINGS
from ostiary.app.settings import Settings
from ostiary.app.tracing import Traced, Tracing, make_tracing
from ostiary.declarative.endpoints import routers as declarative_routers
from ostiary.foundation.audit import Refusals
from ostiary.foundation.clock import Clock, utc_now
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox, load_or_create_key
from ostiary.foundation.settings import InvalidSettings
from ostiary.foundation.web import PlainPaths, RequestId
from ostiary.gateway import ROWS_IN_THE_PLAN, every_node_knows_key, forget_explanations
from ostiary.gateway.endpoints import NodeListener
from ostiary.gateway.endpoints import routers as gateway_routers
from ostiary.identity import Authentication, IdentitySettings, forget_redeemed, id_of_name
from ostiary.identity.endpoints import routers as identity_routers
from ostiary.oauth import (
    AuthorizationServer,
    authorization_server,
    clients_asking,
    fold_old_minimums,
    forget_ended,
)
from ostiary.oauth.endpoints import routers as oauth_routers
from ostiary.organizations import Removal, all_organizations, recall
from ostiary.permissions import (
    SERVERS,
    AccessSettings,
    Guard,
    GuardedRouter,
    PlainRoutes,
    serve,
)
from ostiary.permissions.endpoints import routers as permissions_routers

_FRAMEWORK: dict[str, Any] = {
    "title": "Ostiary",
    "servers": SERVERS,
    "docs_url": None,
    "redoc_url": None,
    "openapi_url": None,
    "redirect_slashes": False,
}
"""No route is the framework's own: every one is declared (ADR 0007)."""
_SWEEP_EVERY = timedelta(minutes=5)
_TEND_KEYS_EVERY = timedelta(minutes=1)
_FOLD_EVERY = timedelta(hours=1)
_TELL_EVERY = timedelta(seconds=1)
_REMOVE_EVERY = timedelta(seconds=5)


def build_app(settings: Settings, clock: Clock = utc_now) -> ASGIApp:
    """Wire one worker. The database's schema must be there already (`migrate`)."""
    box = SecretBox(load_or_create_key(settings.data_dir / "secret.key"))
    database = Database.open(settings.database)
    measures, tracing = Measures(), make_tracing()
    authentication = Authentication(
        database, box, settings.outbound_policy, _share_of_cores(settings), clock, measures.stores.note
    )
    server = authorization_server(
        database,
        box,
        authentication,
        settings.tokens,
        settings.issuer_base,
        clock=clock,
        acknowledged=lambda connection, kid: every_node_knows_key(connection, kid, clock()),
    )
    told, refusals = ToldRefusals(database, clock), Refusals(database, box, id_of_name, clock)
    keeping = AuditKeeping(database, box, refusals, settings.data_dir, settings.audit, clock)
    background = Background(
        database,
        (
            *_jobs(server, authentication, settings.gateway.usage_kept, clock),
            *_explaining(told, database, settings, clock),
            *keeping.jobs(),
        ),
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        background.start()
        yield
        await background.stop()
        await keeping.finish()
        await authentication.close()
        await database.close()
        if tracing is not None:
            await tracing.close()

    app = Documented(lifespan=lifespan, version=metadata.version("ostiary"), **_FRAMEWORK)
    passwords = settings.access.basic_authentication
    callers = Callers(database, box, authentication, settings.issuer_base, clock, takes_passwords=passwords)
    find_organization = partial(recall, database)
    guard = app.state.guard = Guard(callers.identify, find_organization)
    routers = _routers(settings, database, box, authentication, server, clock)
    _tighten(routers, settings.access)
    serve(app, routers)
    add_error_answers(app)
    listened = PlainPaths(NodeListener(PlainRoutes(app, guard, routers), database), refused)
    served = Audited(listened, database, refusals, find_organization)
    parts = MetricsParts(database, settings.data_dir / "run", clock, authentication.health)
    return RequestId(whatever_happens(_watched(served, told, measures, tracing, parts)))


def framework_of(app: ASGIApp) -> FastAPI:
    """The framework's app inside of what `build_app` returned, for whoever lists routes."""
    inner: Any = app
    while not isinstance(inner, FastAPI):
        inner = getattr(inner, "_app", None) or inner.app
    return inner


def _watched(
    app: ASGIApp, told: ToldRefusals, measures: Measures, tracing: Tracing | None, parts: MetricsParts
) -> ASGIApp:
    """Put what only looks around everything else."""
    measured: ASGIApp = Measured(Explained(app, told), measures)
    if tracing is not None:
        measured = Traced(measured, tracing)
    return MetricsPage(measured, measures, parts)


def _routers(
    settings: Settings,
    database: Database,
    box: SecretBox,
    authentication: Authentication,
    server: AuthorizationServer,
    clock: Clock,
) -> list[GuardedRouter]:
    policy, public_url = settings.outbound_policy, settings.issuer_base
    return [
        *permissions_routers(database, box),
        *oauth_routers(server),
        *identity_routers(database, box, authentication, public_url, clock, clients_asking, HOLDINGS),
        *apim_routers(database, box, policy, clock),
        *declarative_routers(database, box, authentication.hasher, policy, clock),
        *gateway_routers(database, box, settings.gateway, public_url, clock),
    ]


def _tighten(routers: list[GuardedRouter], access: AccessSettings) -> None:
    """Apply what the operator asks for besides the declarations.

    Raises:
        InvalidSettings: an override names no operation; a mistyped one must not pass for a lock.
    """
    for index, override in enumerate(access.overrides):
        if not any(router.tighten(override) for router in routers):
            raise InvalidSettings(
                f"settings: access.overrides.{index}.operation: there is no guarded operation "
                f"{override.operation!r}: `ostiary scopes list` shows them all"
            )


def _share_of_cores(settings: Settings) -> IdentitySettings:
    """Hashing keeps one thread a core busy over all workers together, unless the settings say otherwise."""
    hashing = settings.identity.hashing
    if "threads" in hashing.model_fields_set:
        return settings.identity
    threads = max(1, (os.cpu_count() or 1) // settings.workers)
    return settings.identity.model_copy(update={"hashing": hashing.model_copy(update={"threads": threads})})


def _jobs(
    server: AuthorizationServer, authentication: Authentication, usage_kept: timedelta, clock: Clock
) -> tuple[Job, ...]:
    """Everything that is due without anybody asking."""
    database = server.database
    removal = Removal(database, ROWS_IN_THE_PLAN, authentication.forget, clock)

    def tend_keys(connection: Connection) -> None:
        for organization in all_organizations(connection):
            server.keys.tend(connection, organization.id, clock())

    async def forget_tokens() -> None:
        """In units of a few hundred rows, until none is left: tokens end as fast as they are issued."""
        while await database.write(lambda connection: forget_ended(connection, clock())):
            pass

    async def forget_assertions() -> None:
        while await database.write(lambda connection: forget_redeemed(connection, clock())):
            pass

    async def forget_old_usage() -> None:
        while await database.write(lambda connection: forget_usage(connection, clock() - usage_kept)):
            pass

    return (
        Job("forget_ended_tokens", _SWEEP_EVERY, forget_tokens),
        Job("forget_used_assertions", _SWEEP_EVERY, forget_assertions),
        Job("forget_old_usage", _SWEEP_EVERY, forget_old_usage),
        Job("fold_old_minimums", _FOLD_EVERY, partial(_fold, server, clock)),
        Job("tend_signing_keys", _TEND_KEYS_EVERY, lambda: database.write(tend_keys)),
        Job("take_away_removed_organizations", _REMOVE_EVERY, removal.run),
    )


async def _fold(server: AuthorizationServer, clock: Clock) -> None:
    def fold(organization_id: str, connection: Connection) -> int:
        return fold_old_minimums(connection, organization_id, server.settings, clock())

    for organization in await server.database.read(all_organizations):
        while await server.database.write(partial(fold, organization.id)):
            pass


def _explaining(told: ToldRefusals, database: Database, settings: Settings, clock: Clock) -> tuple[Job, ...]:
    kept = settings.gateway.explanations_kept

    def forget(connection: Connection) -> None:
        forget_explanations(connection, clock(), kept)

    return (
        Job("tell_refusals", _TELL_EVERY, told.tell),
        Job("forget_explanations", _TEND_KEYS_EVERY, lambda: database.write(forget)),
    )
