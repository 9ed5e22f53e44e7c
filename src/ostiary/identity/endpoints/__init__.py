"""The internal REST API of people: users, user stores, challenge questions. Imported by the app alone."""

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
    subjects,
    trying,
    user_stores,
    users,
    userstores,
)
from ostiary.permissions import GuardedRouter

__all__ = ["routers"]


def routers(
    database: Database,
    box: SecretBox,
    authentication: Authentication,
    clock: Clock,
    holdings: Sequence[Holding] = (),
) -> tuple[GuardedRouter, ...]:
    """Every route of the slice; `holdings` are what all slices hold about people."""
    answers = ChallengeAnswers(database, authentication.hasher, authentication.lockout, clock)
    return (
        users.router(database, authentication.hasher, clock),
        user_stores.router(database, box, authentication.policy),
        trying.router(database, authentication),
        userstores.router(database, box, authentication),
        subjects.router(database, box, holdings),
        challenges.router(database),
        challenge_answers.router(answers),
    )
