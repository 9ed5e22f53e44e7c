"""Notes the ends of chains outside of the database; a chain that lost the one before gets none (ADR 0024)."""

import asyncio

from ostiary.foundation.audit.anchors import AnchorFile, Heads, anchors_of, latest, still_there
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox
from ostiary.foundation.telemetry import get_logger

_log = get_logger(__name__)


async def anchor_heads(
    database: Database, box: SecretBox, file: AnchorFile, heads: Heads, clock: Clock
) -> None:
    """Note the ends that are not noted yet; the log says whose chain was cut, which gets no new anchor.

    Raises:
        OSError: the file can be neither read nor written.
    """
    known = latest(await asyncio.to_thread(file.read))
    new = {one: head for one, head in heads.items() if one not in known or known[one].head != head}
    before = [known[organization_id] for organization_id in new if organization_id in known]
    cut = await database.read(lambda c: [anchor for anchor in before if not still_there(c, box, anchor)])
    for anchor in cut:
        _log.error(
            "audit_log_was_cut",
            organization=anchor.organization_id,
            missing=anchor.sequence,
            was_there_at=anchor.at.isoformat(),
            advice="ostiary audit verify",
        )
        del new[anchor.organization_id]
    await asyncio.to_thread(file.add, anchors_of(new, clock()))
