"""The plan: what has to change between two pictures, and when a secret is set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.declarative import Action, Change, Detail, Kind, Refused
from ostiary.declarative.plan import REQUIRED, Actual, Given, State, Wish, Wishes, difference

PATH = ("users", 0)


def a_user(email: str = "a@x", *, password: Given | None = Given.VALUE) -> Wishes:
    """Bob as a file wants him."""
    secrets = {} if password is None else {"password": password}
    return {Kind.USER: {"bob": Wish(PATH, {"email": email}, secrets)}}


def the_user(email: str = "a@x", *, has_password: bool = True) -> State:
    """Bob as he is."""
    return {Kind.USER: {"bob": Actual({"email": email}, frozenset({"password"} if has_password else ()))}}


def a_store(url: str = "https://a", password: Given = Given.VALUE) -> Wishes:
    """A user store as a file wants it."""
    wish = Wish(
        ("user_stores", 0),
        {"url": url, "username": "us"},
        {"password": password},
        addresses=frozenset({"url"}),
    )
    return {Kind.USER_STORE: {"E": wish}}


THE_STORE: State = {
    Kind.USER_STORE: {"E": Actual({"url": "https://a", "username": "us"}, frozenset({"password"}))}
}
SET = Detail("password", None, "set")


def test_what_is_missing_is_added_with_its_secrets():
    assert difference({}, a_user()) == (
        Change(
            Action.ADD, Kind.USER, "bob", (Detail("email", None, "a@x"), SET), sets=frozenset({"password"})
        ),
    )


def test_what_differs_is_changed_and_keeps_its_secrets():
    assert difference(the_user(), a_user("b@x")) == (
        Change(Action.CHANGE, Kind.USER, "bob", (Detail("email", "a@x", "b@x"),)),
    )


def test_what_is_so_already_is_left_alone():
    assert difference(the_user(), a_user()) == ()


def test_what_is_wished_away_is_removed_if_it_is_there():
    assert difference(
        the_user(), {Kind.USER: {"bob": Wish(PATH, gone=True), "eve": Wish(PATH, gone=True)}}
    ) == (Change(Action.REMOVE, Kind.USER, "bob"),)


def test_secrets_are_set_again_only_when_asked_for():
    assert difference(the_user(), a_user(), set_secrets=True) == (
        Change(Action.CHANGE, Kind.USER, "bob", (SET,), frozenset({"password"})),
    )


def test_an_unchanged_secret_stays_even_when_secrets_are_set():
    assert difference(the_user(), a_user(password=Given.UNCHANGED), set_secrets=True) == ()


def test_a_missing_secret_is_set():
    assert difference(the_user(has_password=False), a_user())[0].sets == {"password"}


@pytest.mark.parametrize("state", [{}, the_user(has_password=False)])
def test_nothing_cannot_stay_unchanged(state: State):
    with pytest.raises(Refused, match=r"users\[0\].password: found {unchanged: true}, expected a value"):
        difference(state, a_user(password=Given.UNCHANGED))


def test_a_new_user_needs_a_password_and_a_known_one_does_not():
    with pytest.raises(Refused, match=r"users\[0\]: found nothing, expected the key 'password', because"):
        difference({}, a_user(password=None))
    assert difference(the_user(), a_user(password=None)) == ()


def test_a_new_address_takes_the_secret_of_the_file():
    """A secret kept for one address is never sent to another."""
    (change,) = difference(THE_STORE, a_store("https://b"))
    assert change.details == (Detail("url", "https://a", "https://b"), SET)
    assert change.sets == {"password"}


def test_a_new_address_without_a_secret_clears_the_old_one():
    (change,) = difference(THE_STORE, a_store("https://b", Given.UNCHANGED))
    assert change.details == (
        Detail("url", "https://a", "https://b"),
        Detail("password", None, "cleared"),
    )
    assert change.sets == set()


def test_what_hangs_on_others_is_removed_before_anything_is_made_and_what_they_hang_on_after_it():
    wishes: Wishes = {
        Kind.SUBSCRIPTION: {"new": Wish((), {}), "old": Wish((), gone=True)},
        Kind.API: {"a": Wish((), {})},
        Kind.ORGANIZATION: {"o": Wish((), {})},
        Kind.PLAN: {"old": Wish((), gone=True)},
        Kind.ROLE: {"old": Wish((), gone=True)},
    }
    state = {kind: {"old": Actual({})} for kind in (Kind.SUBSCRIPTION, Kind.PLAN, Kind.ROLE)}
    assert [(c.action, c.kind, c.name) for c in difference(state, wishes)] == [
        (Action.REMOVE, Kind.SUBSCRIPTION, "old"),
        (Action.ADD, Kind.ORGANIZATION, "o"),
        (Action.ADD, Kind.API, "a"),
        (Action.ADD, Kind.SUBSCRIPTION, "new"),
        (Action.REMOVE, Kind.ROLE, "old"),
        (Action.REMOVE, Kind.PLAN, "old"),
    ]


_VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.lists(st.text(max_size=2), max_size=3)
)
_PICTURES = st.dictionaries(st.sampled_from("abc"), _VALUES)
_THINGS = st.dictionaries(st.sampled_from("xyz"), _PICTURES)
_WORLDS = st.dictionaries(st.sampled_from(sorted(set(Kind) - set(REQUIRED))), _THINGS)


def made(world: dict[Kind, dict[str, dict[str, object]]]) -> State:
    """A state of these pictures."""
    return {
        kind: {name: Actual(picture) for name, picture in things.items()} for kind, things in world.items()
    }


def wished(world: dict[Kind, dict[str, dict[str, object]]]) -> Wishes:
    """Wishes of these pictures."""
    return {
        kind: {name: Wish((), picture) for name, picture in things.items()} for kind, things in world.items()
    }


@given(_WORLDS, _WORLDS)
def test_after_its_changes_a_plan_has_nothing_left_to_change(
    before: dict[Kind, dict[str, dict[str, object]]], after: dict[Kind, dict[str, dict[str, object]]]
):
    state = {kind: dict(things) for kind, things in made(before).items()}
    for change in difference(state, wished(after)):
        things = state.setdefault(change.kind, {})
        old = things[change.name].picture if change.name in things else {}
        things[change.name] = Actual({**old, **{d.attribute: d.after for d in change.details}})
    assert difference(state, wished(after)) == ()


@given(_WORLDS)
def test_what_is_wished_as_it_is_changes_nothing(world: dict[Kind, dict[str, dict[str, object]]]):
    assert difference(made(world), wished(world)) == ()
