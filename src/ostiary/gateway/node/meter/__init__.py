"""Counts that leave HAProxy: what was let through, for which API, application and subscription.

`reading` reads HAProxy's tables, `ledger` says what they gained, `store` keeps it until the control plane has
it, `counting` does so again and again, `meter` is the agent's part. What a crash of HAProxy costs: whatever
was counted since the last reading, a second ago at most.
"""

from ostiary.gateway.node.meter.meter import Meter

__all__ = ["Meter"]
