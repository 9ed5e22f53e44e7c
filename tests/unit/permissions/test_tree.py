"""The permission tree and the internal scopes that follow from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.permissions import (
    ADMIN,
    BINDINGS,
    BUILT_IN_ROLES,
    LOGIN,
    NODES,
    PROTECTED,
    SYSTEM,
    asked_for,
    holds,
    holds_all,
    internal_scopes_of,
    needs,
    not_held,
)

IDENTITY = "/permission/admin/manage/identity"
VIEW = f"{IDENTITY}/identitymgt/view"
A_NODE = st.sampled_from(sorted(NODES))


@pytest.mark.parametrize(
    ("held", "wanted", "is_held"),
    [
        (VIEW, VIEW, True),
        (f"{IDENTITY}/identitymgt", VIEW, True),
        (ADMIN, VIEW, True),
        ("/permission", VIEW, True),
        (f"{IDENTITY}/identitymgt/update", VIEW, False),
        (VIEW, f"{IDENTITY}/identitymgt", False),
        (f"{IDENTITY}/identity", VIEW, False),
        (f"{IDENTITY}/identitymg", VIEW, False),
        (ADMIN, "/permission/administer", False),
        (ADMIN, f"{PROTECTED}/manage", False),
        ("", VIEW, False),
    ],
)
def test_a_node_covers_itself_and_its_descendants_and_nothing_that_only_begins_alike(
    held: str, wanted: str, is_held: bool
):
    assert holds(frozenset({held}), wanted) is is_held


def test_nobody_holds_anything_without_a_permission():
    assert not any(holds(frozenset(), node) for node in NODES)


@given(st.frozensets(A_NODE, max_size=4), A_NODE)
def test_holding_more_never_takes_anything_away(held: frozenset[str], more: str):
    before = {node for node in NODES if holds(held, node)}

    assert before <= {node for node in NODES if holds(held | {more}, node)}


@given(st.frozensets(A_NODE, max_size=4), st.frozensets(A_NODE, max_size=4))
def test_what_is_missing_is_named_and_nothing_else(held: frozenset[str], wanted: frozenset[str]):
    missing = not_held(held, wanted)

    assert holds_all(held, wanted) is (missing == [])
    assert holds_all(held | set(missing), wanted)


def test_every_scope_is_bound_to_known_nodes_and_spelled_alike():
    for scope, permissions in BINDINGS.items():
        assert scope.startswith("internal_")
        assert permissions
        assert permissions <= NODES
        assert not any("//" in permission or permission.endswith("/") for permission in permissions)


def test_the_scope_of_the_second_story_is_bound_as_documented():
    assert BINDINGS["internal_identity_mgt_view"] == {VIEW}


def test_scopes_are_had_by_permissions_or_their_ancestors():
    wanted = {"internal_identity_mgt_view", "internal_identity_mgt_update", "internal_user_mgt_list"}

    assert internal_scopes_of(frozenset({VIEW}), wanted, is_user=True) == {"internal_identity_mgt_view"}
    assert internal_scopes_of(frozenset({f"{IDENTITY}/identitymgt"}), wanted, is_user=True) == {
        "internal_identity_mgt_view",
        "internal_identity_mgt_update",
    }
    assert internal_scopes_of(frozenset({ADMIN}), wanted, is_user=True) == wanted


def test_no_binding_is_nobodys_scope():
    assert (
        internal_scopes_of(frozenset({"/permission"}), {"internal_x", "openid", SYSTEM}, is_user=True)
        == set()
    )


def test_the_login_scope_is_of_users_alone():
    assert internal_scopes_of(frozenset(), {LOGIN}, is_user=True) == {LOGIN}
    assert internal_scopes_of(frozenset({ADMIN}), {LOGIN}, is_user=False) == set()


def test_system_asks_for_every_internal_scope_and_can_be_mixed():
    assert asked_for({"a"}) == {"a"}
    assert asked_for({SYSTEM, "a"}) == {*BINDINGS, LOGIN, "a"}


def test_the_installations_own_operations_are_out_of_reach_of_an_organizations_administrator():
    had = internal_scopes_of(frozenset({ADMIN}), BINDINGS, is_user=True)

    protected = {s for s, nodes in BINDINGS.items() if any(node.startswith(PROTECTED) for node in nodes)}
    assert protected
    assert had == BINDINGS.keys() - protected


def test_built_in_roles_have_nodes_of_the_tree():
    assert {node for nodes in BUILT_IN_ROLES.values() for node in nodes} <= NODES
    assert BUILT_IN_ROLES["everyone"] == ()


@pytest.mark.parametrize(
    ("permission", "scopes"),
    [
        (VIEW, ()),
        (VIEW, ("internal_x",)),
        (VIEW, ("internal_identity_mgt_update",)),
        ("/permission//admin", ("internal_identity_mgt_view",)),
    ],
)
def test_a_route_can_only_ask_for_what_somebody_can_get(permission: str, scopes: tuple[str, ...]):
    with pytest.raises(ValueError, match="scope"):
        needs(permission, *scopes)
