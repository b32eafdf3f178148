"""What cannot be read never assigns and never grants, whatever the rules are (C2, C6)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access_indexer.core.viewers import AccessAttributes, AccessPolicy, Viewers
from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from assigner.matching.engines import EngineName
from territory.model.compiled import Model, compile_model
from territory.model.document import ObjectType
from territory.wire.events import Link, Record
from tests.support.memory import FIRST_DAY, dice
from tests.support.stepping import Dice
from tests.support.strategies import FIELDS, ORG, READABLE, UNREADABLE, VALUES, Document, models


def record_of(kind: ObjectType, fields: Document) -> Record:
    """Return a record without an owner: whoever sees it does so by a territory or a sharing rule."""
    key = f"{ORG}/{kind}/R"
    return Record(ORG, kind, "R", 1, 0, False, None, "A", None, fields, {}, key, 0, "e", 0)


def decided(policy: AssignmentPolicy, record: Record) -> AssignmentDecision:
    """Return the decision of a record; a deal is a candidate of every territory, a contact of none."""
    if record.object == "contact":
        return policy.decide_contact(record, None)
    if record.object == "deal":
        every = tuple(Link(territory, ("rule",), ()) for territory in policy.model.territories)
        return policy.decide_deal(record, None, AssignmentDecision(every))
    return policy.decide_by_rules(record)


def reached(decision: AssignmentDecision, model: Model) -> set[str]:
    """Return the territories of a decision, those that only a limit kept out, and all above them.

    Above them, because a territory takes what its children do not take for certain (A2).
    """
    found = {*(link.territory_id for link in decision.links), *decision.cut, *decision.runners_up}
    return {above for territory in found for above in model.tree.path_of(territory)}


def viewers(kind: str, decision: AssignmentDecision, policy: AccessPolicy) -> Viewers:
    """Return who sees a record by all territories that it may be in, and by its sharing rules."""
    territories = tuple(sorted(reached(decision, policy.model)))
    return policy.viewers_of(AccessAttributes(kind, None, territories, decision.shared))


@pytest.mark.parametrize("engine", ["index", "plain"])
def test_nothing_unreadable_assigns_or_grants(engine: EngineName) -> None:
    """Unreadable values never add a territory, a sharing rule or a viewer, whatever readable ones are in their place.

    For random rule books and records of all objects, with every engine (C2, C6, A1, A6, V6).
    """
    matched = lost = 0

    @settings(max_examples=5 * settings().max_examples)
    @given(models(), st.integers(0, 2**32))
    def never_adds(document: Document, seed: int) -> None:
        nonlocal matched, lost
        random: Dice = dice(seed)
        document["settings"]["max_territories_per_record"] = None
        model = compile_model(document, 1, FIRST_DAY)
        policy, access = AssignmentPolicy(model, engine), AccessPolicy(model)
        for kind, types in FIELDS.items():
            about: ObjectType = kind  # type: ignore[assignment]  # one of them
            there = {name: random.choice(VALUES[of]) for name, of in types.items()}
            spoiled = [name for name in types if random.random() < 0.6]
            hurt = there | {name: random.choice(UNREADABLE[types[name]]) for name in spoiled}
            found = decided(policy, record_of(about, hurt))
            matched += bool(found.shared) + bool(found.links)
            for _ in range(5):
                whole = there | {name: random.choice(READABLE[types[name]]) for name in spoiled}
                readable = decided(policy, record_of(about, whole))
                lost += reached(found, model) != reached(readable, model) or found.shared != readable.shared
                assert reached(found, model) <= reached(readable, model), (hurt, whole)
                assert set(found.shared) <= set(readable.shared), (hurt, whole)
                by, among = viewers(kind, found, access), viewers(kind, readable, access)
                assert by.readers <= among.readers
                assert by.editors <= among.editors

    never_adds()
    assert matched > settings().max_examples  # else nothing was there to be added
    assert lost > settings().max_examples
