"""The node's own signing keys: announced → active → retiring, kept in `DIR/node/keys.json` (0600).

A new key is published longer than backends may cache the JWKS before it signs, a node's first one too; an
old one stays published until the last backend JWT it signed has expired. The very first key of all nodes
signs at once: nobody can have cached a list without it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from joserfc.jwk import ECKey

from ostiary.gateway.node.tokens import ALGORITHM

ANNOUNCED: Final = "announced"
ACTIVE: Final = "active"
RETIRING: Final = "retiring"


@dataclass(frozen=True, slots=True)
class NodeKey:
    """One key pair. Times are seconds since 1970."""

    kid: str
    state: str
    rotation: int
    """The rotation number that asked for it."""
    private_jwk: Mapping[str, Any]
    registered_at: float | None = None
    """When the control plane first confirmed that it publishes it."""
    until: float | None = None
    """When a retiring key is no longer needed."""

    def __repr__(self) -> str:
        return f"NodeKey({self.kid}, {self.state})"


@dataclass(frozen=True, slots=True)
class KeyTiming:
    """How long keys wait, in seconds."""

    announce: float
    """From registration to signing: more than the JWKS may be cached."""
    retire: float
    """From the last signature to removal: more than a backend JWT lives."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of this node, oldest first. Immutable."""

    keys: tuple[NodeKey, ...] = ()

    @property
    def signing(self) -> NodeKey | None:
        """The active key; `None` while the first one is announced."""
        return next((key for key in self.keys if key.state == ACTIVE), None)

    @property
    def rotation(self) -> int:
        """The highest rotation number served."""
        return max((key.rotation for key in self.keys), default=0)

    def step(self, now: float, rotation: int, timing: KeyTiming, make: Callable[[], ECKey]) -> KeyRing:
        """Return the ring as it should be at `now`; `self` when nothing is due."""
        keys = [key for key in self.keys if key.until is None or now < key.until]
        if rotation > self.rotation or not any(key.state in (ANNOUNCED, ACTIVE) for key in keys):
            keys.append(_new(make(), ANNOUNCED, rotation))
        due = [key for key in keys if _may_sign(key, now, timing)]
        if due:
            keys = [_promoted(key, due[-1], now, timing) for key in keys]
        return self if tuple(keys) == self.keys else KeyRing(tuple(keys))

    def registered(self, kids: frozenset[str], now: float, *, first: bool = False) -> KeyRing:
        """Note that the control plane publishes these keys since `now` at the latest.

        Where they are the `first` that any node has, one of them signs from now on.
        """
        at_once = first and self.signing is None

        def noted(key: NodeKey) -> NodeKey:
            if key.kid not in kids or key.registered_at is not None:
                return key
            return replace(key, registered_at=now, state=ACTIVE if at_once else key.state)

        return KeyRing(tuple(map(noted, self.keys)))

    def public(self) -> list[dict[str, Any]]:
        """Return what is registered: `{kid, jwk, state}` without anything private."""
        return [{"kid": key.kid, "jwk": public_jwk(key), "state": key.state} for key in self.keys]


def public_jwk(key: NodeKey) -> dict[str, Any]:
    """Return the public half as a JWK (RFC 7517 §4)."""
    kept = {name: key.private_jwk[name] for name in ("kty", "crv", "x", "y")}
    return {**kept, "kid": key.kid, "use": "sig", "alg": ALGORITHM}


def generate() -> ECKey:
    """Make a new P-256 key."""
    return ECKey.generate_key("P-256")


def load(path: Path) -> KeyRing:
    """Read the ring; an empty one where there is no file or it cannot be read."""
    try:
        return KeyRing(tuple(NodeKey(**one) for one in json.loads(path.read_text())))
    except (OSError, ValueError, TypeError):
        return KeyRing()


def save(path: Path, ring: KeyRing) -> None:
    """Write the ring in one step, readable by this user alone."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump([asdict(key) for key in ring.keys], file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _new(key: ECKey, state: str, rotation: int) -> NodeKey:
    return NodeKey(key.thumbprint(), state, rotation, key.as_dict(private=True))


def _may_sign(key: NodeKey, now: float, timing: KeyTiming) -> bool:
    return (
        key.state == ANNOUNCED
        and key.registered_at is not None
        and now >= key.registered_at + timing.announce
    )


def _promoted(key: NodeKey, next_key: NodeKey, now: float, timing: KeyTiming) -> NodeKey:
    if key is next_key:
        return replace(key, state=ACTIVE)
    if key.state == RETIRING:
        return key
    return replace(key, state=RETIRING, until=now + timing.retire)
