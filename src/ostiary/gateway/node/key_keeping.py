"""Moves the node's own keys on, and has them published before they sign."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.node import assertion, keys
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown
from ostiary.gateway.node.disk import Disk
from ostiary.gateway.node.keys import KeyTiming
from ostiary.gateway.node.state import NodeState
from ostiary.gateway.settings import GatewaySettings

_MARGIN: Final = 10.0
_log = get_logger(__name__)


class KeyKeeper:
    """Whose turn it is to sign, and what the control plane was told of it."""

    def __init__(
        self,
        settings: GatewaySettings,
        control_plane: ControlPlane,
        state: NodeState,
        disk: Disk,
        now: Callable[[], float],
    ) -> None:
        """Take the keys on disk, or a first one; nothing is written yet."""
        self._control_plane = control_plane
        self._state = state
        self._disk = disk
        self._now = now
        self._timing = KeyTiming(
            announce=settings.announce_key_for.total_seconds(),
            retire=settings.decision_lifetime.total_seconds() + assertion.OUTLIVES_DECISION_SECONDS + _MARGIN,
        )
        state.ring = disk.load_keys().step(now(), state.rotation, self._timing, keys.generate)
        self._are_told = False

    @property
    def can_sign(self) -> bool:
        """Whether a key signs already: the first one of a further node is announced before."""
        return self._state.ring.signing is not None

    async def tend(self) -> None:
        """Do what is due; a control plane that is down is told later."""
        ring = self._state.ring.step(self._now(), self._state.rotation, self._timing, keys.generate)
        if ring is not self._state.ring and self._disk.keep_keys(ring):  # never signs with what may be lost
            self._state.ring = ring
            self._are_told = False
        if not self._are_told:
            with suppress(ControlPlaneDown):
                await self._tell()

    def keep(self) -> None:
        """Write the keys."""
        self._disk.keep_keys(self._state.ring)

    async def _tell(self) -> None:
        """Have the node's keys published; only from then on does an announced key's time run.

        Raises:
            ControlPlaneDown: nobody confirmed it.
        """
        told = self._state.ring.public()
        first = await self._control_plane.register_keys(told)
        kids = frozenset(str(key["kid"]) for key in told)
        self._state.ring = self._state.ring.registered(kids, self._now(), first=first)
        self.keep()
        self._are_told = True
        if not self.can_sign:
            wait = self._timing.announce
            _log.info("listens_when_its_key_is_known", seconds=wait, setting="gateway.jwks_max_age")
