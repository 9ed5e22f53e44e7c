"""Which questions and answers there can be."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from ostiary.identity.challenges.errors import ChallengeRefused, Reason
from ostiary.identity.challenges.model import (
    DEFAULT_SETS,
    LONGEST_ANSWER,
    MOST_ANSWERS,
    SHORTEST_ANSWER,
    Change,
    DescribedQuestion,
    GivenAnswer,
    Question,
    QuestionSet,
    canonical_locale,
    choose,
    normalize,
    offered,
    parse_answers,
    parse_questions,
)


def normalized(text: str) -> str | None:
    found = normalize(SecretStr(text))
    return None if found is None else found.get_secret_value()


@pytest.mark.parametrize(
    "typed",
    [
        "Straße 12",
        "  STRASSE   12 ",
        "strasse\t12",
        "ｓｔｒａｓｓｅ\u300012",
        "stra\u00adsse\u200b 12",
        "STRASSE\u00a012",
    ],
)
def test_one_answer_can_be_typed_in_many_ways(typed: str):
    assert normalized(typed) == "strasse 12"


def test_composed_and_decomposed_letters_are_the_same_answer():
    assert normalized(unicodedata.normalize("NFD", "Málaga")) == normalized("Málaga") == "málaga"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "  ",
        "ab",
        "a\u200bb",
        "\u200b" * 9,
        "a\x00bc",
        "a\x07bc",
        "\ud800abc",
        "a" * 201,
        "ﷺ" * 12,
        " " * 1001,
    ],
)
def test_what_is_too_short_too_long_or_no_text_is_no_answer(typed: str):
    assert normalized(typed) is None


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_a_normalized_answer_is_normal_already(typed: str):
    """Otherwise the same words could be two answers."""
    found = normalized(typed)

    if found is not None:
        assert normalized(found) == found
        assert SHORTEST_ANSWER <= len(found) <= LONGEST_ANSWER
        assert normalized(typed.upper()) in (normalized(typed.upper().lower()), None)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("en_US", "en_US"),
        ("EN-us", "en_US"),
        ("pt", "pt"),
        ("zh-hant-tw", "zh_Hant_TW"),
        ("es-419", "es_419"),
        ("de_DE_POSIX", "de_DE_posix"),
    ],
)
def test_a_locale_has_one_spelling(written: str, canonical: str):
    assert canonical_locale(written) == canonical
    assert canonical_locale(canonical) == canonical


@pytest.mark.parametrize(
    "written", ["", "e", "../en", "en/US", "en\\US", "en_US\n", "en__US", "_", "ün", "en.US"]
)
def test_what_is_no_locale_has_none(written: str):
    assert canonical_locale(written) is None


BIRTH = Question("question1", "en_US", "Where were you born?")
NASCEU = Question("question1", "pt_BR", "Onde você nasceu?")
SETS = (
    QuestionSet("origin", (BIRTH, NASCEU)),
    QuestionSet("pets", (Question("question1", "en_US", "Which pet?"),)),
    QuestionSet("sabor", (Question("question1", "pt_BR", "Qual sabor?"),)),
)


@pytest.mark.parametrize(
    ("locale", "ids"),
    [
        ("pt_BR", [("origin", "pt_BR"), ("pets", "en_US"), ("sabor", "pt_BR")]),
        ("en_US", [("origin", "en_US"), ("pets", "en_US")]),
        ("fr_FR", [("origin", "en_US"), ("pets", "en_US")]),
        (None, [("origin", "en_US"), ("pets", "en_US")]),
    ],
)
def test_a_set_is_offered_in_the_locale_of_the_person_or_in_the_default_one(
    locale: str | None, ids: list[tuple[str, str]]
):
    assert [(one.id, one.questions[0].locale) for one in offered(SETS, locale)] == ids


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        (None, Reason.QUESTION_MISSING),
        (DescribedQuestion(None), Reason.QUESTION_MISSING),
        (DescribedQuestion("", "question1"), Reason.QUESTION_MISSING),
        (DescribedQuestion("Which pet?"), Reason.QUESTION_NOT_OFFERED),
        (DescribedQuestion(BIRTH.text, "question2"), Reason.QUESTION_NOT_OFFERED),
        (DescribedQuestion(BIRTH.text, None, "pt_BR"), Reason.QUESTION_NOT_OFFERED),
        (DescribedQuestion(BIRTH.text, None, "../"), Reason.QUESTION_NOT_OFFERED),
        (DescribedQuestion(BIRTH.text.upper()), Reason.QUESTION_NOT_OFFERED),
    ],
)
def test_an_answer_says_exactly_which_question_it_answers(
    described: DescribedQuestion | None, reason: Reason
):
    with pytest.raises(ChallengeRefused) as refused:
        choose({one.id: one for one in SETS}, GivenAnswer("origin", described, SecretStr("Kandy")))

    assert refused.value.reason is reason


def test_a_question_is_known_by_its_text():
    sets = {one.id: one for one in SETS}
    for described in (DescribedQuestion(BIRTH.text), DescribedQuestion(BIRTH.text, "question1", "en-us")):
        assert choose(sets, GivenAnswer("origin", described, SecretStr("Kandy"))) == BIRTH


@pytest.mark.parametrize(
    ("change", "answered", "reason"),
    [
        (Change.ANSWER_ALL, [], None),
        (Change.ANSWER_ALL, ["pets"], Reason.ANSWERS_THERE),
        (Change.REPLACE_ALL, [], Reason.NO_ANSWERS),
        (Change.REPLACE_ALL, ["pets"], None),
        (Change.ANSWER_ONE, [], None),
        (Change.ANSWER_ONE, ["pets"], None),
        (Change.ANSWER_ONE, ["origin"], Reason.ANSWER_THERE),
        (Change.ANSWER_ONE, [str(n) for n in range(MOST_ANSWERS)], Reason.TOO_MANY_ANSWERS),
        (Change.REPLACE_ONE, ["pets"], Reason.NO_ANSWER),
        (Change.REPLACE_ONE, ["origin"], None),
    ],
)
def test_posting_creates_and_putting_changes(change: Change, answered: list[str], reason: Reason | None):
    if reason is None:
        change.check(answered, "origin")
        return
    with pytest.raises(ChallengeRefused) as refused:
        change.check(answered, "origin")
    assert refused.value.reason is reason


def test_questions_without_identifier_get_one_that_is_free_in_every_locale():
    described = [
        DescribedQuestion("A?"),
        DescribedQuestion("B?", "question2"),
        DescribedQuestion("C?", None, "pt"),
    ]

    assert [one.id for one in parse_questions(described, {"question1"})] == [
        "question3",
        "question2",
        "question4",
    ]


def test_a_refusal_repeats_no_answer():
    secret = SecretStr("x" * 500)
    with pytest.raises(ChallengeRefused) as refused:
        parse_answers([GivenAnswer("pets", None, secret)])

    assert "xxx" not in str(refused.value) + repr(GivenAnswer("pets", None, secret))


def test_the_default_questions_pass_the_rules_for_questions():
    for one in DEFAULT_SETS:
        described = [DescribedQuestion(q.text, q.id, q.locale) for q in one.questions]
        assert parse_questions(described) == one.questions
