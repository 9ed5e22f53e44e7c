"""What a file wants, as pictures; and whether everything it refers to exists."""

from collections.abc import Iterator, Mapping

from ostiary import apim
from ostiary.apim import KeyType
from ostiary.declarative.complaints import Complaint, Path, Refused, Unacceptable, steps_of
from ostiary.declarative.consistency import keys_of, resources_of
from ostiary.declarative.current import (
    backend_picture,
    deny_name,
    limit_text,
    resource_text,
    subscription_name,
    user_store_picture,
)
from ostiary.declarative.members import role_wishes
from ostiary.declarative.names import Names
from ostiary.declarative.notices import working_grant_types, working_scopes
from ostiary.declarative.plan import Actual, Given, Kind, State, Wish, Wishes
from ostiary.declarative.references import Secret
from ostiary.declarative.schema import (
    APIPart,
    KeysPart,
    OrganizationFile,
    PlanPart,
)
from ostiary.identity import InvalidUserStore


def wishes_of(file: OrganizationFile, state: State, names: Names) -> Wishes:
    """Everything the file wants.

    Raises:
        Refused: a name in it cannot be one.
    """
    complaints: list[Complaint] = []
    wishes: Wishes = {
        Kind.ORGANIZATION: {file.organization.name: _organization(file)},
        Kind.USER_STORE: dict(_user_stores(file, state.get(Kind.USER_STORE, {}), complaints)),
        Kind.PLAN: {plan.name: Wish(("plans", index), _plan(plan)) for index, plan in enumerate(file.plans)},
        Kind.ROLE: role_wishes(file, state.get(Kind.ROLE, {}), names, complaints),
        Kind.USER: dict(_users(file, names, complaints)),
        Kind.SCOPE: {
            scope.name: Wish(
                ("scopes", index),
                {
                    "display_name": scope.display_name,
                    "description": scope.description,
                    "roles": sorted(set(scope.roles or ())),
                    "everyone": scope.everyone,
                },
            )
            for index, scope in enumerate(file.scopes)
        },
        Kind.API: {f"{api.name} {api.version}": _api(index, api) for index, api in enumerate(file.apis)},
        Kind.APPLICATION: dict(_applications(file, names, complaints)),
        Kind.CLIENT: dict(_clients(file, state)),
        Kind.SUBSCRIPTION: dict(_subscriptions(file, state)),
        Kind.DENY_POLICY: dict(_deny_policies(file, state, names, complaints)),
    }
    if complaints:
        raise Refused(complaints)
    return wishes


def given(secret: Secret | None) -> Given | None:
    """What the file says about a secret; None where it says nothing."""
    if secret is None:
        return None
    return Given.UNCHANGED if secret.value is None else Given.VALUE


def _secrets(**said: Secret | None) -> Mapping[str, Given]:
    return {name.replace("__", "."): kind for name, secret in said.items() if (kind := given(secret))}


def _organization(file: OrganizationFile) -> Wish:
    part = file.organization
    picture = {
        "display_name": part.display_name or part.name,
        "features": sorted(set(part.features)),
        "chain": part.chain,
    }
    return Wish(("organization",), picture)


def _user_stores(
    file: OrganizationFile, actual: Mapping[str, Actual], complaints: list[Complaint]
) -> Iterator[tuple[str, Wish]]:
    for index, (store, position) in enumerate(zip(file.user_stores, _positions(file, actual), strict=True)):
        path: Path = ("user_stores", index)
        try:
            settings = store.settings
        except InvalidUserStore as error:
            complaints.append(Complaint((*path, *steps_of(error.field)), "", error.expected))
            continue
        secrets = {key: kind for key, secret in store.secrets.items() if (kind := given(secret))}
        picture = user_store_picture(store.type, position, store.options, settings.without_secrets())
        yield store.name, Wish(path, picture, secrets, addresses=settings.ADDRESSES | {"type"})


def _positions(file: OrganizationFile, actual: Mapping[str, Actual]) -> list[int]:
    """Where each store is asked: the places there are stay where they are in the order of the file.

    New stores at the end of the list come after every other. In another order, all that the file lists
    come after those it does not list.
    """
    names = [store.name for store in file.user_stores]
    places = {name: int(store.picture["position"]) for name, store in actual.items()}
    known = [name for name in places if name in names]  # in the order in which they are asked
    if names[: len(known)] == known:
        first_free = max(places.values(), default=-1) + 1
        return [*(places[name] for name in known), *range(first_free, first_free + len(names) - len(known))]
    first_free = max((place for name, place in places.items() if name not in names), default=-1) + 1
    return list(range(first_free, first_free + len(names)))


def _plan(plan: PlanPart) -> dict[str, object]:
    return {
        "requests": plan.requests,
        "per": plan.per,
        "burst": limit_text(plan.burst),
        "bandwidth": plan.bandwidth and apim.written_bandwidth(apim.parse_bandwidth(plan.bandwidth)),
    }


def _users(file: OrganizationFile, names: Names, complaints: list[Complaint]) -> Iterator[tuple[str, Wish]]:
    for index, user in enumerate(file.users):
        path: Path = ("users", index)
        try:
            name = names.primary_user(user.username)
        except Unacceptable as error:
            complaints.append(Complaint((*path, "username"), error.found, error.expected))
            continue
        yield name, Wish(path, {"claims": dict(user.claims)}, _secrets(password=user.password))


def _api(index: int, api: APIPart) -> Wish:
    picture = {
        "context": api.context,
        "state": api.state,
        **backend_picture(backend_of(api)),
        "plans": api.plans,
        "resources": [resource_text(r.method, r.path, r.scopes, r.auth, r.limit) for r in resources_of(api)],
        "limit": limit_text(api.limit),
        "security": api.security,
        "cors": api.cors.model_dump(),
        "default_version": api.default_version,
        "assertion": api.assertion.model_dump(),
    }
    mine = api.backend.client_certificate
    secrets = {} if mine is None else _secrets(backend__client_certificate__key=mine.key)
    return Wish(("apis", index), picture, secrets)


def backend_of(api: APIPart) -> apim.Backend:
    """The backend of an API as its publisher would say it; a key that is to stay is None."""
    said = api.backend
    mine = said.client_certificate
    return apim.Backend(
        production=tuple(said.production),
        sandbox=tuple(said.sandbox),
        timeout_ms=said.timeout_ms,
        connect_timeout_ms=said.connect_timeout_ms,
        health_check=said.health_check,
        server_name=said.server_name,
        ca=said.ca,
        client_certificate=None if mine is None else apim.ClientCertificate(mine.certificate, mine.key.value),
        breaker_failures=said.breaker_failures,
        breaker_pause_seconds=said.breaker_pause_seconds,
    )


def _deny_policies(
    file: OrganizationFile, state: State, names: Names, complaints: list[Complaint]
) -> Iterator[tuple[str, Wish]]:
    if file.deny is None:
        return
    wished: dict[str, Wish] = {}
    for index, part in enumerate(file.deny):
        path: Path = ("deny", index)
        try:
            name = deny_name(part.condition, names.denied(part.condition, part.value), part.invert)
        except Unacceptable as error:
            complaints.append(Complaint((*path, "value"), error.found, error.expected))
            continue
        if name in wished:
            complaints.append(Complaint(path, f"the deny policy {name!r} a second time", "it once"))
        wished[name] = Wish(path, {"enabled": part.enabled})
    for name in state.get(Kind.DENY_POLICY, {}):
        if name not in wished:
            yield name, Wish(("deny",), gone=True)
    yield from wished.items()


def _applications(
    file: OrganizationFile, names: Names, complaints: list[Complaint]
) -> Iterator[tuple[str, Wish]]:
    for index, application in enumerate(file.applications):
        try:
            owner = str(names.user(application.owner))
        except Unacceptable as error:
            complaints.append(Complaint(("applications", index, "owner"), error.found, error.expected))
            continue
        yield application.name, Wish(("applications", index), {"owner": owner, "tier": application.tier})


def _clients(file: OrganizationFile, state: State) -> Iterator[tuple[str, Wish]]:
    held: dict[object, list[str]] = {}
    for client_id, actual in state.get(Kind.CLIENT, {}).items():
        place = (actual.picture["application"], actual.picture["key_type"])
        held.setdefault(place, []).append(client_id)
    for index, application in enumerate(file.applications):
        for kind, keys in keys_of(application):
            path: Path = ("applications", index, "keys", kind)
            for client_id in held.get((application.name, kind.upper()), ()):
                if client_id != keys.client_id:  # it had this place until now
                    yield client_id, Wish(path, gone=True)
            picture = {"application": application.name, "key_type": KeyType[kind.upper()].value}
            yield (
                keys.client_id,
                Wish(path, picture | _client(keys), _secrets(client_secret=keys.client_secret)),
            )


def _client(keys: KeysPart) -> dict[str, object]:
    return {
        "grant_types": working_grant_types(keys),
        "token_format": keys.token_format,
        "scopes": None if keys.scopes is None else working_scopes(keys.scopes),
        "default_scope": working_scopes(keys.default_scope),
        "strict_scopes": keys.strict_scopes,
        "internal_scopes": keys.internal_scopes,
        "validity_period": keys.validity_period,
        "access_token_lifetime_seconds": keys.access_token_lifetime_seconds,
        "refresh_token_lifetime_seconds": keys.refresh_token_lifetime_seconds,
        "user_stores": keys.user_stores,
    }


def _subscriptions(file: OrganizationFile, state: State) -> Iterator[tuple[str, Wish]]:
    held: dict[object, list[str]] = {}
    for name, actual in state.get(Kind.SUBSCRIPTION, {}).items():
        held.setdefault(actual.picture["application"], []).append(name)
    for index, application in enumerate(file.applications):
        if application.subscriptions is None:
            continue
        wished = {
            subscription_name(application.name, part.api, part.version): Wish(
                ("applications", index, "subscriptions", position),
                {"application": application.name, "plan": part.plan},
            )
            for position, part in enumerate(application.subscriptions)
        }
        for name in held.get(application.name, ()):
            if name not in wished:
                yield name, Wish(("applications", index, "subscriptions"), gone=True)
        yield from wished.items()
