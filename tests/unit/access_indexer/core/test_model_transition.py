"""The migration of an organisation's sets from one model to the next."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from access_indexer.core.model_transition import ModelTransition
from access_indexer.core.viewers import NOBODY, AccessAttributes, AccessPolicy, AccessUnion, Viewers
from territory.model.compiled import Model
from tests.unit.access_indexer.core.examples import MODEL, ROLES, TERRITORIES, USERS, but, model_of

IN_BAY = AccessAttributes("account", None, ("bay",), ())
IN_EAST = AccessAttributes("account", None, ("east",), ())


def with_members(revision: int, *users: str) -> Model:
    """Return a model in which some users are the members of the bay."""
    return model_of(revision, territories=but(TERRITORIES, "bay", users=list(users)))


def under(*models: Model) -> ModelTransition:
    """Return a transition that is complete under the first model, and has begun the others one after another."""
    transition = ModelTransition()
    transition.complete_under(models[0])
    for model in models[1:]:
        transition.begin(model)
    return transition


def readers(viewers: Viewers) -> set[str]:
    """Return who reads, without the manager and the members of the territories above."""
    return set(viewers.readers) - {"mia", "wes"}


# --- visible now ------------------------------------------------------------------------------


def test_only_users_of_both_models_see_a_record_that_is_not_decided_yet() -> None:
    """During a transition a record decided under the previous model is visible to its viewers under both (V8)."""
    moved = [*but(TERRITORIES, "bay", users=["sam", "bob"]), {"id": "new", "parent": "east"}]
    transition = under(with_members(1, "sam", "ann"), model_of(2, territories=moved))
    assert readers(transition.visible_now(IN_BAY, 1, NOBODY)) == {"sam"}
    assert readers(transition.visible_now(IN_BAY, 2, NOBODY)) == {"sam", "bob"}
    transition.mark_decided()
    assert readers(transition.visible_now(IN_BAY, 1, NOBODY)) == {"sam", "bob"}


def test_assigner_ahead_of_this_worker() -> None:
    """A record decided under a later model than this worker has is visible to nobody who did not see it before (V8).

    Also when that decision comes twice: the assigner repeats a batch after a crash.
    """
    transition = under(MODEL)
    first = transition.visible_now(IN_EAST, 2, transition.visible_after(IN_BAY))
    assert first.readers == {"mia"}
    assert transition.visible_now(IN_EAST, 2, first) == first
    assert transition.visible_now(IN_EAST, 2, NOBODY) == NOBODY
    assert transition.visible_now(IN_EAST, 1, transition.visible_after(IN_BAY)).readers == {"mia", "eve"}


def test_without_a_model_nobody_sees_anything() -> None:
    """An organisation without a model has no viewers (V1)."""
    transition = ModelTransition()
    assert transition.visible_now(IN_BAY, 1, NOBODY) == NOBODY
    assert transition.visible_after(IN_BAY) == NOBODY
    assert transition.possible(IN_BAY, None) == NOBODY


# --- possible ---------------------------------------------------------------------------------


def test_every_model_since_the_last_sweep_may_have_granted() -> None:
    """Sets may hold a record for its viewers under the previous, a superseded or the target model (V7, V8)."""
    transition = under(with_members(1, "sam"), with_members(2, "ann"), with_members(3, "bob"), with_members(4, "eve"))
    assert readers(transition.possible(IN_BAY, None)) == {"sam", "ann", "bob", "eve"}
    assert readers(transition.possible(IN_BAY, Viewers(frozenset({"cleo"}), frozenset()))) == {
        "sam", "ann", "bob", "eve", "cleo",
    }  # fmt: skip


def test_superseded_models_end_with_the_sweep() -> None:
    """After a sweep the sets hold what is known, and the next transition starts from its target alone (V8)."""
    transition = under(with_members(1, "sam"), with_members(2, "ann"), with_members(3, "bob"))
    transition.complete()
    known = Viewers(frozenset({"bob"}), frozenset())
    assert transition.possible(IN_BAY, known) == known
    transition.begin(with_members(4, "eve"))
    assert readers(transition.possible(IN_BAY, known)) == {"bob", "eve"}


def test_a_reset_drops_all_models() -> None:
    """After a reset nothing of earlier models is assumed, and a reset event is due."""
    transition = under(with_members(1, "sam"), with_members(2, "ann"), with_members(3, "bob"))
    transition.reset()
    assert transition.needs_reset
    transition.begin(with_members(4, "eve"))
    assert readers(transition.possible(IN_BAY, None)) == {"eve"}
    transition.complete_under(with_members(5, "vic"))
    assert not transition.needs_reset


def test_the_target_can_begin_again() -> None:
    """A repeated begin of the same model changes nothing."""
    first, second = with_members(1, "sam"), with_members(2, "ann")
    transition = under(first, second, second)
    target = transition.target
    transition.begin(second)
    assert transition.target is target


def test_memory_is_bounded_however_many_models_are_superseded() -> None:
    """Of a hundred models that arrive during one sweep only the target and the previous one are kept."""
    transition, models = under(with_members(1, "sam")), list[weakref.ref[Model]]()
    for revision in range(2, 102):
        model = with_members(revision, "ann" if revision % 2 else "bob")
        models.append(weakref.ref(model))
        transition.begin(model)
        del model
    gc.collect()
    assert sum(ref() is not None for ref in models) == 1
    assert readers(transition.possible(IN_BAY, None)) == {"sam", "ann", "bob"}


# --- the union of several models --------------------------------------------------------------

IDS = [user["id"] for user in USERS]
GROUPS = ["queue", "crew"]
CRITERIA = {"field": "sector", "eq": "medical"}


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Draw a model with other members, managers, roles, sharing rules and active users."""
    territories: list[dict[str, Any]] = [
        node | {"users": draw(st.lists(st.sampled_from(IDS), max_size=3, unique=True))} for node in TERRITORIES
    ]
    territories[1]["manager"] = draw(st.sampled_from(IDS))
    permissions = st.sampled_from(["read_only", "read_write_delete", {"account": "read_write_delete"}])
    territories[2]["permission"] = draw(permissions)
    territories = territories[: draw(st.integers(3, 4))]
    groups = [
        {"id": name, "users": draw(st.lists(st.sampled_from(IDS), max_size=2, unique=True)),
         "roles": draw(st.lists(st.sampled_from([role["id"] for role in ROLES]), max_size=1))}
        for name in draw(st.lists(st.sampled_from(GROUPS), unique=True))
    ]  # fmt: skip
    roles = [role["id"] for role in ROLES]
    users = [
        user | {"role": draw(st.sampled_from(roles)), "active": draw(st.booleans()), "admin": draw(st.booleans())}
        for user in USERS
    ]
    sharing = [
        {"id": "s1", "object": "account", "criteria": CRITERIA, "to": {"user": draw(st.sampled_from(IDS))},
         "level": draw(st.sampled_from(["read", "edit"]))}
    ]  # fmt: skip
    return model_of(
        1, territories=territories, users=users, groups=groups, fields={"account": {"sector": "text"}},
        sharing=sharing if draw(st.booleans()) else [],
        settings={"territory_access_rolls_up_roles": draw(st.booleans())},
    )  # fmt: skip


@settings(max_examples=25)
@given(st.lists(models(), min_size=1, max_size=3), st.data())
def test_union_of_models_is_exact(given_models: list[Model], data: st.DataObject) -> None:
    """The folded union gives the same viewers and levels as asking every model (V1, V3, V8)."""
    owner = data.draw(st.sampled_from([None, "stranger", *GROUPS, *IDS]))
    territories = tuple(data.draw(st.lists(st.sampled_from(["world", "west", "bay", "east", "sold"]), unique=True)))
    marks = sorted({mark for model in given_models for mark in model.sharing})
    shared = tuple(mark for mark in marks if data.draw(st.booleans()))
    record = AccessAttributes(data.draw(st.sampled_from(["account", "deal"])), owner, territories, shared)
    union, expected = AccessUnion(), NOBODY
    for model in given_models:
        policy = AccessPolicy(model)
        union.add(policy)
        expected = expected | policy.viewers_of(record)
    assert union.viewers_of(record) == expected
