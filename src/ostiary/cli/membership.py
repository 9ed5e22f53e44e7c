"""Which installation a gateway on this machine belongs to: enrolled once, remembered in `DIR/node`."""

from collections.abc import Sequence
from dataclasses import replace

from ostiary.cli.data_directory import DataDirectory
from ostiary.cli.errors import OperatorError
from ostiary.foundation.telemetry import get_logger
from ostiary.gateway import NodeIdentity, NotEnrolled, checked_url, enrol

log = get_logger(__name__)


def load_identity(directory: DataDirectory) -> NodeIdentity | None:
    """Who the gateway here is; `None` when it never enrolled.

    Raises:
        OperatorError: its files are damaged.
    """
    try:
        return NodeIdentity.load(directory.node)
    except NotEnrolled as error:
        raise OperatorError(str(error)) from error


def ensure_enrolled(directory: DataDirectory, token: str | None, control_planes: Sequence[str]) -> None:
    """Enrol with the token where it has not been used here yet; keep the addresses that are said now.

    Raises:
        OperatorError: there is no identity and none can be had; says what to do.
    """
    identity = load_identity(directory)
    try:
        if identity is not None and (token is None or identity.enrolled_with(token)):
            _remember(identity, control_planes)
        elif token is None:
            raise OperatorError(
                f"{directory.path} is no enrolled gateway: have `ostiary nodes add NAME` print a token at "
                "the control plane, and start this with --enrol TOKEN --control-plane https://HOST:9444"
            )
        elif not control_planes:
            raise OperatorError("--enrol also takes --control-plane https://HOST:9444")
        else:
            made = enrol(directory.node, token, tuple(map(checked_url, control_planes)))
            log.info("gateway_node_enrolled", node=made.name)
    except NotEnrolled as error:
        raise OperatorError(str(error)) from error


def _remember(identity: NodeIdentity, control_planes: Sequence[str]) -> None:
    said = tuple(map(checked_url, control_planes))
    if said and said != identity.control_planes:
        replace(identity, control_planes=said).save()
