"""What of the product runs on a machine."""

from enum import Enum


class Role(Enum):
    """What of the product runs on this machine: the names of the commands."""

    EVERYTHING = "serve"
    CONTROL_PLANE = "control-plane"
    GATEWAY = "gateway"

    @property
    def has_control_plane(self) -> bool:
        """Whether workers and the management listener run here."""
        return self is not Role.GATEWAY

    @property
    def has_gateway(self) -> bool:
        """Whether an agent and the gateway listener run here."""
        return self is not Role.CONTROL_PLANE
