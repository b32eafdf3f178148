"""The stories once more, through Kafka, Redis and the services as they are deployed.

All stories go on side by side, each as an organisation of its own: up to its next
expectation, then one wait and one look for all; when all want a restart, every service is
restarted once. So organisations are shown to be kept apart, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.support.expectations import Standing, State, differences
from tests.support.house import Found, House
from tests.support.stories import ORG, Apply, Expect, Publish, Raw, Restart, Step, Story, load_stories

SCENARIOS = Path(__file__).parents[1] / "scenarios"


@dataclass
class Telling:
    """One story on its way, told as an organisation of its own."""

    story: Story
    org_id: str
    steps: list[Step] = field(default_factory=list)

    def until_expected(self, house: House) -> Expect | None:
        """Do what comes before the next expectation; None when a restart comes first, or the story is over."""
        while self.steps and not self.wants_restart:
            step = self.steps.pop(0)
            if isinstance(step, Expect):
                return step
            if isinstance(step, Apply):
                house.apply(step.model | {"org": self.org_id})
            elif isinstance(step, Publish):
                self._publish(step, house)
        return None

    @property
    def wants_restart(self) -> bool:
        """Whether the services are to be restarted before it goes on."""
        return bool(self.steps) and isinstance(self.steps[0], Restart)

    def _publish(self, step: Publish, house: House) -> None:
        changes = []
        for message in step.messages:
            if isinstance(message, Raw):
                house.publish_raw(self._renamed(message.key), message.value.replace(_quoted(ORG), _quoted(self.org_id)))
            else:
                changes.append(message | {"org_id": self.org_id})
        house.publish(changes)

    def _renamed(self, key: str) -> str:
        return self.org_id + key.removeprefix(ORG) if key.startswith(f"{ORG}/") else key


def _quoted(text: str) -> bytes:
    return f'"{text}"'.encode()


def _state(found: Found) -> State:
    return State(
        assignments={
            key.split("/", 1)[1]: Standing(
                links=one.territories,
                causes={link.territory_id: frozenset(link.causes) for link in one.links},
                cut=one.cut,
                runners_up=one.runners_up,
                dropped=one.dropped,
                why={link.territory_id: link.why for link in one.links},
            )
            for key, one in found.assignments.items()
        },
        visible=found.visible,
        editable=found.editable,
        admins=found.admins,
        attainments=found.attainments,
        left_out=found.left_out,
        dead_letters=found.dead_letters,
    )


def test_stories_come_true(house: House) -> None:
    """Every story ends on real servers as it does in memory (C1 to C6, A1 to A11, V1 to V7, F1 to F10)."""
    tellings = [
        Telling(story, f"story-{number}", list(story.steps)) for number, story in enumerate(load_stories(SCENARIOS))
    ]
    for telling in tellings:
        if telling.story.model is not None:
            house.apply(dict(telling.story.model) | {"org": telling.org_id})
    house.start_all()
    while tellings:
        going_on = [telling for telling in tellings if not telling.wants_restart]
        if not going_on:
            house.stop_all()
            house.start_all()
            for telling in tellings:
                telling.steps.pop(0)
            continue
        expected: list[tuple[Telling, Expect]] = []
        for telling in going_on:
            expect = telling.until_expected(house)
            if expect is not None:
                expected.append((telling, expect))
            elif not telling.steps:
                tellings.remove(telling)
        house.wait()
        found = house.found_of(telling.org_id for telling, _ in expected)
        problems = [
            f"{telling.story.name}: {line}"
            for telling, expect in expected
            for line in differences(expect, _state(found[telling.org_id]))
        ]
        assert not problems, "\n".join(problems)
