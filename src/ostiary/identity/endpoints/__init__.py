"""The REST API of organizations and people: tenants, users, user stores, challenge questions, SCIM.

Imported by the app alone.
"""

from collections.abc import Sequence

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.people import Holding
from ostiary.foundation.secrets import SecretBox
from ostiary.identity.authentication import Authentication
from ostiary.identity.challenges import ChallengeAnswers
from ostiary.identity.endpoints import (
    challenge_answers,
    challenges,
    locks,
    own_password,
    pins,
    scim,
    subjects,
    tenants,
    trying,
    user_stores,
    users,
    userstores,
)
from ostiary.identity.user_stores.configuration import AskingClients
from ostiary.permissions import GuardedRouter

__all__ = ["routers"]


def routers(
    database: Database,
    box: SecretBox,
    authentication: Authentication,
    public_url: str,
    clock: Clock,
    asking: AskingClients,
    holdings: Sequence[Holding] = (),
) -> tuple[GuardedRouter, ...]:
    """Every route of the slice.

    `asking`: which clients name a user store, for its deletion. `holdings`: what every slice holds of people.
    """
    answers = ChallengeAnswers(database, authentication.hasher, authentication.lockout, clock)
    return (
        tenants.router(database, authentication.hasher, clock),
        users.router(database, authentication.hasher, clock),
        user_stores.router(database, box, authentication.policy, clock, asking),
        trying.router(database, authentication),
        pins.router(database),
        userstores.router(database, box, authentication, asking),
        scim.router(database, authentication, public_url, clock),
        subjects.router(database, box, holdings),
        locks.router(database, clock),
        challenges.router(database),
        challenge_answers.router(answers),
        own_password.router(database, authentication, clock),
    )
