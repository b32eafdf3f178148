"""Whatever happens, in whatever order the services get to it, the end state is the one that the rules imply."""

from __future__ import annotations

from hypothesis import given, settings

from tests.support.memory import PHASES, MemoryHouse, dice
from tests.support.oracle import Expected, expected
from tests.support.strategies import Apply, Publish, Tale, Work, tales

STEPS_MAX = 60

much = settings(max_examples=4 * settings.default.max_examples)  # type: ignore[union-attr]  # a profile is loaded


@much
@given(tales())
def test_end_state_is_what_the_rules_imply(tale: Tale) -> None:
    """Assignments, access and sums are functions of the records and the model alone (A9)."""
    house = play(tale)
    assert_agrees(house.found(), expected(tale.models, tale.history))


def play(tale: Tale, partitions: int = 3) -> MemoryHouse:
    """Return the house after all has happened and been worked off."""
    house = MemoryHouse(partitions)
    for happening in tale.happenings:
        if isinstance(happening, Publish):
            house.publish(happening.change)
        elif isinstance(happening, Apply):
            house.apply_model(happening.model)
        else:
            work(house, happening)
    house.run()
    return house


def work(house: MemoryHouse, happening: Work) -> None:
    """Let time do to the services what it does."""
    random = dice(happening.seed)
    place = random.choice(house.places)
    match happening.what:
        case "steps":
            for _ in range(random.randint(1, STEPS_MAX)):
                house.step(random)
        case "restart":
            house.restart(*place)
        case "crash":
            house.crash(*place, before=random.choice(PHASES), random=random)
        case "quiet":
            house.run(random)
        case "compact":
            house.compact()
        case "lose_redis":
            house.lose_redis()


def assert_agrees(found: Expected, wanted: Expected) -> None:
    """Compare part by part: pytest shows the first difference best so."""
    assert found.assignments == wanted.assignments
    assert found.visible == wanted.visible
    assert found.editable == wanted.editable
    assert found.admins == wanted.admins
    assert found.left_out == wanted.left_out
    assert found.attainments == wanted.attainments
