"""The internal REST API of people: users, user stores, challenge questions. Imported by the app alone."""

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox
from ostiary.identity.authentication import Authentication
from ostiary.identity.challenges import ChallengeAnswers
from ostiary.identity.endpoints import (
    challenge_answers,
    challenges,
    trying,
    user_stores,
    users,
    userstores,
)
from ostiary.permissions import GuardedRouter

__all__ = ["routers"]


def routers(
    database: Database, box: SecretBox, authentication: Authentication, clock: Clock
) -> tuple[GuardedRouter, ...]:
    """Every route of the slice."""
    answers = ChallengeAnswers(database, authentication.hasher, authentication.lockout, clock)
    return (
        users.router(database, authentication.hasher, clock),
        user_stores.router(database, box, authentication.policy, clock),
        trying.router(database, authentication),
        userstores.router(database, box, authentication),
        challenges.router(database),
        challenge_answers.router(answers),
    )
