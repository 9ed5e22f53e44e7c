"""Keeps an enrolled node certified: the next certificate is asked for long before this one is over.

Each has a new key. What is left of the old one's time is how long the control plane may be away. HAProxy is
told by whoever runs it (`cli/`), when the file has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

from ostiary.foundation.certificates import key_pem, new_key, signing_request
from ostiary.foundation.private_files import write_private
from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown
from ostiary.gateway.node.identity import NodeIdentity

_log = get_logger(__name__)
LOOK_EVERY: Final = 60.0


async def keep_certified(
    identity: NodeIdentity, control_plane: ControlPlane, now: Callable[[], datetime]
) -> None:
    """Renew the certificate whenever it is due, until cancelled."""
    while True:
        try:
            if identity.renewal_is_due(now()):
                await renew(identity, control_plane)
        except (ControlPlaneDown, OSError, ValueError, KeyError) as error:
            until = identity.expires_at().isoformat()
            _log.warning("certificate_not_renewed", reason=str(error), good_until=until)
        await asyncio.sleep(LOOK_EVERY)


async def renew(identity: NodeIdentity, control_plane: ControlPlane) -> None:
    """Get a certificate for a new key and use it from now on.

    Raises:
        ControlPlaneDown: nobody certified it; the old one stays.
        OSError: it cannot be written; the old one stays.
    """
    key = new_key()
    made = await control_plane.renew(signing_request(key))
    await asyncio.to_thread(
        write_private, identity.certificate_file, str(made["certificate"]).encode() + key_pem(key)
    )
    await control_plane.trust(identity.tls())
    _log.info("certificate_renewed", good_until=identity.expires_at().isoformat())
