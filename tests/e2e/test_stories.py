"""The stories through Kafka, Redis and the services as they are deployed.

All stories run at the same time, each as an organisation of its own, which also shows that organisations
are kept apart. Each story runs up to its next expectation; then one wait and one look serve all of them.
When every story that is left wants a restart, all services are restarted once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.expectations import Standing, State, differences
from tests.support.house import Found, House
from tests.support.stories import ORG, Apply, Expect, Publish, Raw, Restart, Step, Story, load_stories

SCENARIOS = Path(__file__).parents[1] / "scenarios"


@dataclass
class StoryRun:
    """One story under way, as an organisation of its own."""

    story: Story
    org_id: str
    steps: list[Step] = field(default_factory=list)

    def until_expected(self, house: House) -> Expect | None:
        """Run the steps up to the next expectation; None when a restart comes first or no step is left."""
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
        """True if the next step is a restart of the services."""
        return bool(self.steps) and isinstance(self.steps[0], Restart)

    def _publish(self, step: Publish, house: House) -> None:
        changes: list[dict[str, Any]] = []
        for message in step.messages:
            if isinstance(message, Raw):
                value = message.value and message.value.replace(_quoted(ORG), _quoted(self.org_id))
                house.publish(changes)  # before it, in the order of the story
                changes = []
                house.publish_raw(self._renamed(message.key), value)
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


def test_every_story_ends_as_it_does_in_memory(house: House) -> None:
    """On real servers every expectation of every story holds (C1 to C6, A1 to A11, V1 to V7, F1 to F10)."""
    runs = [
        StoryRun(story, f"story-{number}", list(story.steps)) for number, story in enumerate(load_stories(SCENARIOS))
    ]
    for run in runs:
        if run.story.model is not None:
            house.apply(dict(run.story.model) | {"org": run.org_id})
    house.start_all()
    while runs:
        runnable = [run for run in runs if not run.wants_restart]
        if not runnable:
            house.stop_all()
            house.start_all()
            for run in runs:
                run.steps.pop(0)
            continue
        expected: list[tuple[StoryRun, Expect]] = []
        for run in runnable:
            expect = run.until_expected(house)
            if expect is not None:
                expected.append((run, expect))
            elif not run.steps:
                runs.remove(run)
        house.wait()
        found = house.found_of(run.org_id for run, _ in expected)
        problems = [
            f"{run.story.name}: {line}"
            for run, expect in expected
            for line in differences(expect, _state(found[run.org_id]))
        ]
        assert not problems, "\n".join(problems)
