"""A person's answers: what may be answered, what is, changing it, and whether answers are right.

Hashing happens outside of transactions; what it depends on is checked before, so that nobody hashes in
vain, and again in the transaction that keeps the result. Whatever compares with a kept answer is charged:
`verify` to the lock-out of logins, a change to a counter of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.identifiers import is_id
from ostiary.foundation.telemetry import get_logger
from ostiary.identity.challenges import repository
from ostiary.identity.challenges.errors import AnswersRefused, ChallengeRefused, Reason
from ostiary.identity.challenges.model import (
    MOST_ANSWERS,
    Answered,
    Change,
    GivenAnswer,
    Question,
    QuestionSet,
    canonical_locale,
    choose,
    is_name,
    normalize,
    offered,
    parse_answers,
)
from ostiary.identity.challenges.questions import require_turned_on
from ostiary.identity.challenges.repository import KeptAnswer
from ostiary.identity.lockout import Identity, LockedOut, Lockout, identity_key
from ostiary.identity.model import Standing, StandingProblem, Subject
from ostiary.identity.passwords import PasswordHasher
from ostiary.identity.powers import check_power_over
from ostiary.identity.standing import check_standing
from ostiary.permissions import Principal

_log = get_logger(__name__)
_NOTHING = SecretStr("-")
"""Hashed in place of what can be no answer."""
_CHANGES = "challenge-answers"
"""What changes are counted under, in place of a client and of a store: no store has such a name."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whose answers they are: somebody of any user store.

    `changed_by` is who else changes them; None where people change their own.
    """

    organization_id: str
    subject_id: str
    changed_by: Principal | None = None


@dataclass(frozen=True, slots=True)
class _Checked:
    """A change that may be made: which questions are answered, how, and the answers to other sets."""

    questions: Sequence[Question]
    answers: Sequence[SecretStr]
    others: Sequence[KeptAnswer]


class ChallengeAnswers:
    """Keeps and compares answers, for every organization."""

    def __init__(self, database: Database, hasher: PasswordHasher, lockout: Lockout, clock: Clock) -> None:
        self._database = database
        self._hasher = hasher
        self._lockout = lockout
        self._clock = clock

    async def questions(self, person: Person) -> Sequence[QuestionSet]:
        """What the person may answer, in the person's locale.

        Raises:
            ChallengeRefused: challenge questions are turned off, or there is no such person.
        """

        def unit(connection: Connection) -> Sequence[QuestionSet]:
            self._standing(connection, person)
            return _offered(connection, person)

        return await self._database.read(unit)

    async def answered(self, person: Person) -> Sequence[Answered]:
        """Which sets the person has answered, by their identifiers.

        Raises:
            ChallengeRefused: as `questions`.
        """

        def unit(connection: Connection) -> Sequence[Answered]:
            self._standing(connection, person)
            kept = repository.answers_of(connection, person.organization_id, person.subject_id)
            return [Answered(one.set_id, one.question) for one in kept]

        return await self._database.read(unit)

    async def change(self, person: Person, change: Change, given: Sequence[GivenAnswer]) -> None:
        """Keep the answers given, all or none; a change of one set takes one answer.

        Raises:
            ChallengeRefused: says what was expected, or that it was compared too often.
            Escalation: the person may do what whoever changes the answers may not.
            HashingBusy: too much is being hashed; nothing was changed.
        """
        checked = await self._database.read(lambda c: self._check(c, person, change, given))
        if not change.is_of_all:
            await self._compare(person, checked)
        hashes = [await self._hasher.hash(one) for one in checked.answers]

        def unit(connection: Connection) -> None:
            repository.lock_person(connection, person.organization_id, person.subject_id)
            questions = self._check(connection, person, change, given).questions
            if change.is_of_all:
                repository.remove_answers(connection, person.organization_id, person.subject_id)
            for one, question, answer_hash in zip(given, questions, hashes, strict=True):
                kept = KeptAnswer(one.set_id, question.text, answer_hash, self._clock())
                repository.put_answer(connection, person.organization_id, person.subject_id, kept)
            said = {"sets": [one.set_id for one in given]}
            audit.note(connection, person.organization_id, "challenge_answers", person.subject_id, {}, said)

        await self._database.write(unit)
        _log.info("challenge_answers_changed", subject=person.subject_id, sets=[one.set_id for one in given])

    async def forget(self, person: Person, set_id: str | None = None) -> None:
        """Forget the answer of a set, or every answer.

        Raises:
            ChallengeRefused: there is none; as `questions`.
            Escalation: as `change`.
        """

        def unit(connection: Connection) -> int:
            self._admit(connection, person)
            if set_id is not None and not is_name(set_id):
                return 0
            removed = repository.remove_answers(connection, person.organization_id, person.subject_id, set_id)
            if removed:
                here, old = person.organization_id, {"answers": removed}
                audit.note(connection, here, "challenge_answers", person.subject_id, old, None)
            return removed

        if await self._database.write(unit) == 0:
            reason = Reason.NO_ANSWERS if set_id is None else Reason.NO_ANSWER
            raise ChallengeRefused(reason, "the user has not answered")
        _log.info("challenge_answers_forgotten", subject=person.subject_id, set=set_id)

    async def verify(self, person: Person, given: Mapping[str, SecretStr], client_id: str) -> Subject:
        """Find that every answer, by its set, is right; wrong ones lock as wrong passwords do.

        Right answers forget no failures: who knows an answer must not win more guesses at the password.
        Every refusal costs the same hashes.

        Raises:
            AnswersRefused: for every reason alike; also where nothing was given, or too much.
            LoginUnavailable: too many logins of this person are under way; nothing was counted.
            HashingBusy: as `change`.
        """
        subject, hashes = await self._database.read(lambda c: self._hashes(c, person))
        async with self._lockout.attempt(person.organization_id, client_id) as attempt:
            identity = _identity(subject, person)
            try:
                await attempt.reserve(identity)
            except LockedOut:
                hashes = {}
            right = await self._all_right(given, hashes)
            if subject is None or not right:
                attempt.refused(identity)
                _log.info("challenge_answers_refused", subject=person.subject_id)
                raise AnswersRefused
        return subject

    async def _all_right(self, given: Mapping[str, SecretStr], hashes: Mapping[str, str]) -> bool:
        if not 0 < len(given) <= MOST_ANSWERS:
            return False
        right = True
        for set_id, answer in given.items():
            typed = normalize(answer)
            known = None if typed is None else hashes.get(set_id)
            right &= await self._hasher.verify(typed or _NOTHING, known)
        return right

    async def _compare(self, person: Person, checked: _Checked) -> None:
        """Refuse what answers another set already. The refusal tells what is kept, so asking is counted."""
        if not checked.others:
            return
        async with self._lockout.attempt(person.organization_id, _CHANGES) as attempt:
            key = identity_key(_CHANGES, person.subject_id)
            identity = Identity(key, subject_id=person.subject_id)
            try:
                await attempt.reserve(identity)
            except LockedOut:
                raise ChallengeRefused(
                    Reason.TOO_OFTEN, "the answers were changed too often, try again later"
                ) from None
            attempt.refused(identity)
            for answer in checked.answers:
                for other in checked.others:
                    if await self._hasher.verify(answer, other.answer_hash):
                        raise ChallengeRefused(Reason.ANSWER_NOT_UNIQUE, "answer: another one for each set")

    def _check(
        self, connection: Connection, person: Person, change: Change, given: Sequence[GivenAnswer]
    ) -> _Checked:
        self._admit(connection, person)
        kept = repository.answers_of(connection, person.organization_id, person.subject_id)
        sets = {one.id: one for one in _offered(connection, person)}
        change.check([one.set_id for one in kept], given[0].set_id)
        if not change.is_of_all and given[0].set_id not in sets:
            raise ChallengeRefused(Reason.UNKNOWN_SET, "there is no such challenge set")
        answers = parse_answers(given)
        others = [one for one in kept if one.set_id != given[0].set_id]
        return _Checked([choose(sets, one) for one in given], answers, others)

    def _admit(self, connection: Connection, person: Person) -> None:
        """Refuse whoever may not change these answers."""
        self._standing(connection, person)
        if person.changed_by is not None:
            check_power_over(connection, person.changed_by, person.organization_id, person.subject_id)

    def _standing(self, connection: Connection, person: Person) -> Standing:
        """What stands against a person there is; disabled ones are people too."""
        require_turned_on(connection, person.organization_id)
        if is_id(person.subject_id):
            standing = check_standing(connection, person.organization_id, person.subject_id, self._clock)
            if standing.problem is not StandingProblem.UNKNOWN:
                return standing
        raise ChallengeRefused(Reason.UNKNOWN_USER, "there is no such user")

    def _hashes(self, connection: Connection, person: Person) -> tuple[Subject | None, Mapping[str, str]]:
        try:
            standing = self._standing(connection, person)
        except ChallengeRefused:
            return None, {}
        here = person.organization_id, person.subject_id
        kept = repository.answers_of(connection, *here) if standing.may_continue else ()
        return standing.subject, {one.set_id: one.answer_hash for one in kept}


def _identity(subject: Subject | None, person: Person) -> Identity:
    """What attempts are counted under: what logins are, so that one lock is for both."""
    if subject is None:
        return Identity(identity_key("", person.subject_id))
    return Identity(identity_key(subject.store, subject.username), subject_id=subject.id)


def _offered(connection: Connection, person: Person) -> tuple[QuestionSet, ...]:
    claim = repository.locale_claim(connection, person.organization_id, person.subject_id)
    sets = repository.question_sets(connection, person.organization_id)
    return offered(sets, None if claim is None else canonical_locale(claim))
