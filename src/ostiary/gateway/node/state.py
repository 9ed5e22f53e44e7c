"""What the parts of the agent share: the current plan, the node's keys, the last contact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from joserfc.jwk import ECKey

from ostiary.gateway.node.keys import KeyRing
from ostiary.gateway.plan import GatewayPlan


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs backend JWTs now."""

    kid: str
    key: ECKey


class NodeState:
    """Changed by the agent alone, always between two awaits, so that readers see one state."""

    def __init__(self, plan: GatewayPlan, contacted_at: float, max_offline: timedelta) -> None:
        """Begin with the last plan and when (seconds since 1970) a control plane answered last."""
        self.plan = plan
        self.contacted_at = contacted_at
        self.is_admitted = True
        """Whether the control plane still knows this node."""
        self._max_offline = max_offline.total_seconds()
        self._ring = KeyRing()
        self._signing: SigningKey | None = None

    @property
    def ring(self) -> KeyRing:
        """The node's own keys."""
        return self._ring

    @ring.setter
    def ring(self, ring: KeyRing) -> None:
        self._ring = ring
        active = ring.signing
        if active is not None and (self._signing is None or self._signing.kid != active.kid):
            self._signing = SigningKey(active.kid, ECKey.import_key(dict(active.private_jwk)))

    @property
    def signing(self) -> SigningKey:
        """The key that signs backend JWTs now."""
        if self._signing is None:
            raise RuntimeError("the node has no key yet")
        return self._signing

    @property
    def rotation(self) -> int:
        """The rotation number the plan asks of this node, the only one it is told of."""
        return max((node.rotation for node in self.plan.nodes.values()), default=0)

    def is_outdated(self, now: float) -> bool:
        """Whether the last plan decides nothing new: removed, or too long without a control plane."""
        return not self.is_admitted or now - self.contacted_at > self._max_offline
