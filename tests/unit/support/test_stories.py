"""The stories: each loads and agrees with the oracle, and together they cover the rules."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from territory.errors import BadMessage, ModelRefused
from territory.model.compiled import compile_model
from territory.wire.events import read_record_change
from tests.support.expectations import Standing, State, differences
from tests.support.oracle import Record, expected, record_after
from tests.support.stories import (
    ORG,
    Apply,
    Change,
    Expect,
    Model,
    Publish,
    Raw,
    Refuse,
    Restart,
    Story,
    StoryRefused,
    load_stories,
    load_story,
    same_figure,
)

SCENARIOS = Path(__file__).parents[2] / "scenarios"
STORIES = load_stories(SCENARIOS)
RULES = (
    *("C1", "C2", "C3", "C4", "C5", "C6"),
    *("A1", "A2", "A3", "A4", "A5", "A6", "A8", "A9", "A10", "A11"),
    *("V1", "V2", "V3", "V5", "V7"),
    *("F1", "F2", "F3", "F4", "F6", "F9", "F10"),
)

each_story = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_story(rule: str) -> None:
    """Every rule that stories must cover has at least one story."""
    assert [story.name for story in STORIES if rule in story.rules]


@each_story
def test_oracle_agrees(story: Story) -> None:
    """The oracle derives the expectations of every story from its history and model."""
    models = {} if story.model is None else {ORG: story.model}
    history: list[Change] = []
    refused: Counter[str] = Counter()
    known: dict[str, Record] = {}
    for number, step in enumerate(story.steps):
        if isinstance(step, Publish):
            for message in step.messages:
                refused.update(_code(message, known))
            history += step.changes
        elif isinstance(step, Apply):
            models = {ORG: step.model}
        elif isinstance(step, Expect):
            assert differences(step, _state(models, history, refused)) == [], f"step {number}"


@each_story
def test_models_are_valid(story: Story) -> None:
    """A story's models are accepted, or refused with the faults that the story expects (C5)."""
    if story.model is not None:
        compile_model(story.model, 1)
    for step in story.steps:
        if isinstance(step, Apply):
            compile_model(step.model, 1)
        elif isinstance(step, Refuse):
            with pytest.raises(ModelRefused) as refused:
                compile_model(step.model, 1)
            faults = [str(fault) for fault in refused.value.faults]
            for words in step.faults:
                assert any(all(word in fault for word in words) for fault in faults), (words, faults)


@each_story
def test_changes_are_complete(story: Story) -> None:
    """The short form of a change in a story becomes a complete RecordChange."""
    for step in story.steps:
        for change in step.changes if isinstance(step, Publish) else ():
            assert read_record_change(json.dumps(change).encode()).key == f"{ORG}/{change['object']}/{change['id']}"


def _code(message: Change | Raw, known: dict[str, Record]) -> list[str]:
    """Return the code of a refused message, or None; remember accepted records."""
    if isinstance(message, Raw):
        if message.value is None:
            return []  # a tombstone
        try:
            change = read_record_change(message.value)
        except BadMessage as refusal:
            return [refusal.code]
        assert change.key != message.key, f"{message} is good; publish it in short form"
        return ["wrong_key"]
    key = f"{message['object']}/{message['id']}"
    record = known.get(key, Record(ORG, message["object"], message["id"]))
    dead = record.version > 0 and not record.alive
    known[key] = record_after(record, message)
    return ["no_record"] if message["op"] == "link" and dead else []


def _state(models: dict[str, Model], history: list[Change], refused: Counter[str]) -> State:
    end = expected(models, history)
    return State(
        assignments={key.removeprefix(f"{ORG}/"): _standing(row) for key, row in end.assignments.items()},
        visible={key[1:]: ids for key, ids in end.visible.items()},
        editable={key[1:]: ids for key, ids in end.editable.items()},
        admins=end.admins.get(ORG, set()),
        attainments={key[1:]: row for key, row in end.attainments.items()},
        left_out={deal: reason for (_, deal), reason in end.left_out.items()},
        dead_letters=dict(refused),
    )


def _standing(row: dict[str, Any]) -> Standing:
    return Standing(
        links=tuple(row["territories"]),
        causes={territory: frozenset(causes) for territory, causes in row["causes"].items()},
        cut=tuple(row["cut"]),
        runners_up=tuple(row["runners_up"]),
        dropped=tuple(row["dropped"]),
    )


# --- the loader ------------------------------------------------------------------------------

TOLD = """
story: Told in short
rules: [A1]
model:
  org: acme
  users: [{id: bob, role: rep}]
  territories: [{id: world, users: [bob, cleo]}]
  targets:
    - {territory: world, period: 2017-Q1, amount: "1"}
    - {territory: world, user: bob, period: 2017-Q1, amount: "2"}
steps:
"""
END = "  - expect: {admins: []}\n"


@pytest.fixture
def told(tmp_path: Path) -> Any:
    """Return a function that writes a story with these steps and loads it."""

    def load(steps: str, before: str = TOLD) -> Story:
        path = tmp_path / "told.yaml"
        path.write_text(before + steps + END, "utf-8")
        return load_story(path)

    return load


def _changes(story: Story) -> list[Change]:
    return [change for step in story.steps if isinstance(step, Publish) for change in step.changes]


def test_short_form_is_filled_in(told: Any) -> None:
    """Ids, times and versions that a story omits are generated deterministically."""
    story = told(
        "  - publish:\n"
        "      - {account: A-1, owner: bob, fields: {since: 2017-01-01, country: NO}}\n"
        "      - {deal: D-1, account: A-1}\n"
        "      - {account: A-1, op: patch, owner: null, version: 7}\n"
        "      - {account: A-1, op: link, territory: world, kind: assign}\n"
        "      - {account: A-1, op: delete}\n"
        "      - {account: A-1, op: patch, owner: null, version: 7}\n"
    )
    first, deal, patch, link, delete, late = _changes(story)
    assert first["fields"] == {"since": "2017-01-01", "country": "NO"}
    assert (first["owner_id"], "account_id" in first) == ("bob", False)
    assert (deal["owner_id"], deal["account_id"], deal["contact_id"], deal["fields"]) == (None, "A-1", None, {})
    assert [change["version"] for change in (first, patch, link, delete)] == [1, 7, 1, 8]
    assert set(patch) == {"event_id", "org_id", "object", "id", "version", "op", "occurred_at", "owner_id"}
    assert (link["territory_id"], link["kind"]) == ("world", "assign")
    assert late == patch
    assert [change["occurred_at"] for change in (first, deal)] == ["2017-01-02T08:00:00Z", "2017-01-02T08:01:00Z"]
    assert len({change["event_id"] for change in _changes(story)}) == 5


def test_raw_bytes_are_kept(told: Any) -> None:
    """Raw input is sent unchanged, a mapping as JSON, padded to a size if there is one."""
    (step, _) = told(
        '  - publish: [{raw: "not json", key: k1}, {raw: {id: 1}, key: k2, pad_to: 20}]\n',
    ).steps
    assert step.messages == (Raw("k1", b"not json"), Raw("k2", b'{"id": 1}           '))
    assert step.changes == []


def test_models_are_edited(told: Any) -> None:
    """Edits change a copy of the present model, in order."""
    story = told(
        "  - apply:\n"
        "      change:\n"
        "        - {set: territories/world/permission, to: read_only}\n"
        "        - {remove: territories/world/users/cleo}\n"
        '        - {set: "targets/user=,period=2017-Q1/amount", to: "3"}\n'
        "        - {add: roles, item: {id: rep}}\n"
        "  - apply: {change: [{remove: targets/user=bob}]}\n"
        "  - restart: true\n"
    )
    assert story.model["territories"] == [{"id": "world", "users": ["bob", "cleo"]}]
    first, second, restart, _ = story.steps
    assert first.model["territories"] == [{"id": "world", "users": ["bob"], "permission": "read_only"}]
    assert [target["amount"] for target in first.model["targets"]] == ["3", "2"]
    assert first.model["roles"] == [{"id": "rep"}]
    assert [target["amount"] for target in second.model["targets"]] == ["3"]
    assert restart == Restart()


@pytest.mark.parametrize(
    ("steps", "where"),
    [
        ("  - pause: true\n", "steps/0: unknown step 'pause'"),
        ("  - publish: [{account: A-1, onwer: bob}]\n", "steps/0/publish/0: unknown key 'onwer'"),
        ("  - publish: [{lead: L-1, account: A-1}]\n", "steps/0/publish/0: unknown key 'account'"),
        ("  - publish: [{account: A-1, op: merge}]\n", "steps/0/publish/0/op: found 'merge'"),
        ("  - publish: [{account: A-1, version: 0}]\n", "steps/0/publish/0/version: found 0"),
        ("  - publish: [{account: 1}]\n", "steps/0/publish/0/account: found 1"),
        ("  - publish: [{op: delete}]\n", "steps/0/publish/0: found ['op'], expected one of"),
        ("  - publish: [{account: A-1, account: A-2}]\n", "key 'account' stands twice"),
        ("  - apply: {org: other}\n", "steps/0/apply/org: found 'other'"),
        ("  - apply: {change: [{set: territories/x/parent, to: y}]}\n", "steps/0/apply/change/0: 'x' is 0 times"),
        ("  - apply: {change: [{remove: targets/territory=world}]}\n", "'territory=world' is 2 times"),
        ("  - apply: {change: [{set: period}]}\n", "steps/0/apply/change/0: set needs 'to'"),
        ("  - refuse: {change: []}\n", "steps/0/refuse/faults"),
        ("  - restart: false\n", "steps/0/restart: found False"),
        ("  - expect: {}\n", "steps/0/expect: expected at least one of"),
        ("  - expect: {lnks: {}}\n", "steps/0/expect: unknown key 'lnks'"),
        ("  - expect: {links: {A-1: []}}\n", "steps/0/expect/links: found 'A-1'"),
        (
            "  - expect: {causes: {account/A-1: {world: [luck]}}}\n",
            "steps/0/expect/causes/account/A-1/world: found 'luck'",
        ),
        (
            "  - expect: {attainment: {world: {won: '1'}}}\n",
            "steps/0/expect/attainment/world: expected territory/period",
        ),
        (
            "  - expect: {attainment: {world/2017-Q1: {won: 1}}}\n",
            "steps/0/expect/attainment/world/2017-Q1/won: found 1",
        ),
        ("  - expect: {dead_letters: {odd: 1}}\n", "steps/0/expect/dead_letters: unknown key 'odd'"),
    ],
)
def test_what_is_no_story_is_refused(told: Any, steps: str, where: str) -> None:
    """The loader reports unknown keys with the file and the path."""
    with pytest.raises(StoryRefused) as refused:
        told(steps)
    assert "told.yaml" in str(refused.value)
    assert where in str(refused.value)


def test_the_top_is_strict_too(told: Any) -> None:
    """A story needs a title, well-formed rule numbers and a final expectation."""
    with pytest.raises(StoryRefused, match=r"told\.yaml: the file: unknown key 'author'"):
        told("", before=TOLD.replace("rules:", "author: me\nrules:"))
    with pytest.raises(StoryRefused, match=r"told\.yaml: rules: found 'B1'"):
        told("", before=TOLD.replace("A1", "B1"))
    with pytest.raises(StoryRefused, match=r"told\.yaml: story: found None"):
        told("", before=TOLD.replace("story: Told in short", "story:"))


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ("100", "100.00", True),
        ("100", 100, True),
        ("0.1", "0.10", True),
        ("100", "100.01", False),
        ("100", "", False),
        ("100", None, False),
        ("100", "many", False),
        (None, "", True),
        (None, None, True),
        (None, "0", False),
    ],
)
def test_figures_compare_as_numbers(wanted: str | None, found: object, same: bool) -> None:
    """Figures are compared as numbers, whatever their trailing zeros; null is not zero."""
    assert same_figure(wanted, found) is same


def test_differences_are_told() -> None:
    """Every difference from the expectation gets a line."""
    expect = Expect(
        links={"account/A-1": ("west",), "account/A-2": ()},
        causes={"account/A-1": {"west": frozenset({"rule"})}},
        gone=("account/A-1",),
        sees={"bob": {"account": frozenset({"A-1"})}},
        admins=frozenset({"ann"}),
        attainment={("west", "2017-Q1", None): {"won": "1"}, ("west", "2017-Q2", None): None},
        left_out={},
        why={"account/A-1": {"west": ("country eq US",)}},
    )
    state = State(
        assignments={
            "account/A-1": Standing(("east",), {"east": frozenset({"rule"})}, why={"east": ("east: country eq JP",)})
        },
        attainments={("west", "2017-Q1", None): {"won": "2"}, ("west", "2017-Q2", None): {}},
        left_out={"D-1": "unassigned"},
    )
    assert len(differences(expect, state)) == 10
    assert differences(Expect(dead_letters={"not_json": 1}), State()) == []
