from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.errors import ModelRefused
from territory.model.compiled import digest_of
from territory.model.document import pieces_of
from territory.stage import Message
from territory.wire.codec import JSON, encode
from territory.wire.events import ACTIVATION, ModelActivated, ModelPiece
from territory.wire.keys import model_key
from territory_admin.errors import NotFound, Refused
from territory_admin.models.activation import (
    CheckedModel,
    PieceChanges,
    changes_between,
    check_model,
    messages_of,
    read_text,
    refusal_of,
    removed_territories,
)
from territory_admin.models.topic import ModelLog
from tests.support.strategies import edited, models

NOW = datetime(2017, 1, 1, tzinfo=UTC)

pieces = st.dictionaries(
    st.tuples(st.sampled_from(["territory", "user"]), st.sampled_from("abcd")),
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 1) | st.sampled_from([0.0, 1.0, "1"]),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
        max_leaves=4,
    ),
)


def sent(log: ModelLog, messages: list[Message], offset: int) -> int:
    """Put messages on the log as the services would read them; return the next offset."""
    for message in messages:
        value = None if message.value is None else encode(message.value)
        log.take(offset, message.key.encode(), value)
        offset += 1
    return offset


def checked(document: Any) -> CheckedModel:
    return check_model(json.dumps(document))


@given(pieces, pieces)
def test_the_difference_is_what_it_takes(before: dict[Any, JSON], after: dict[Any, JSON]) -> None:
    """Added, changed and removed pieces lead from one set to the other, and no piece is in two of them."""
    changes = changes_between(before, after)
    made = {key: value for key, value in before.items() if key not in changes.removed}
    made |= {key: after[key] for key in (*changes.added, *changes.changed)}
    assert encode(sorted(made.items())) == encode(sorted(after.items()))
    assert len({*changes.added, *changes.changed, *changes.removed}) == sum(
        map(len, (changes.added, changes.changed, changes.removed))
    )
    assert not changes_between(after, after)


def test_true_is_not_one_and_the_order_of_keys_says_nothing() -> None:
    """A boolean that becomes a number is a change; a mapping written in another order is none."""
    key = ("territory", "a")
    assert changes_between({key: {"x": True}}, {key: {"x": 1}}).changed == (key,)
    assert not changes_between({key: {"x": 1, "y": 2}}, {key: {"y": 2, "x": 1}})


@given(models(), st.lists(st.integers(0, 999), max_size=4))
def test_what_is_applied_is_what_the_services_make_of_it(first: dict[str, Any], seeds: list[int]) -> None:
    """However often a model is edited and applied, the log has exactly the last one in effect.

    The revision grows by one with every change, and nothing is said when there is none.
    """
    log = ModelLog()
    offset = sent(log, messages_of("acme", log, checked(first).pieces, NOW), 0)
    document, revision = first, 1
    for seed in seeds:
        document = edited(document, random.Random(seed))  # noqa: S311 -- not a secret
        after = checked(document)
        is_new = bool(changes_between(log.pieces_of("acme"), after.pieces))
        messages = messages_of("acme", log, after.pieces, NOW)
        assert bool(messages) is is_new
        offset = sent(log, messages, offset)
        revision += is_new
        activated = log.activated("acme")
        assert activated is not None
        assert activated.activation.revision == revision == log.revision_of("acme")
        assert not changes_between(activated.pieces, after.pieces)
        assert log.model_of("acme").targets == after.model.targets
        assert messages_of("acme", log, after.pieces, NOW) == []


def test_only_what_changed_is_said_and_then_the_activation() -> None:
    """Unchanged pieces are not sent again, removed ones are tombstones, the activation comes last."""
    log = ModelLog()
    first = checked({"org": "acme", "territories": [{"id": "a"}, {"id": "b"}, {"id": "c"}]})
    sent(log, messages_of("acme", log, first.pieces, NOW), 0)
    after = checked({"org": "acme", "territories": [{"id": "a"}, {"id": "b", "priority": 1}, {"id": "d"}]})
    messages = messages_of("acme", log, after.pieces, NOW)
    assert [(message.key, message.value is None) for message in messages] == [
        ("acme/territory/b", False),
        ("acme/territory/d", False),
        ("acme/territory/c", True),
        ("acme/activation/model", False),
    ]
    activation = messages[-1].value
    assert isinstance(activation, ModelActivated)
    assert (activation.revision, activation.pieces) == (2, 4)
    assert activation.activated_at == "2017-01-01T00:00:00.000Z"


def test_a_refused_activation_is_applied_anew() -> None:
    """Where the services refused what is on the topic, applying the same pieces activates them."""
    log = ModelLog()
    whole = checked({"org": "acme", "territories": [{"id": "a"}]})
    messages = messages_of("acme", log, whole.pieces, NOW)
    wrong = ModelActivated("acme", 1, 0, "no digest", "2017-01-01T00:00:00Z")
    sent(log, [*messages[:-1], Message(messages[-1].topic, messages[-1].key, wrong, 0)], 0)
    again = messages_of("acme", log, whole.pieces, NOW)
    assert [message.key for message in again] == ["acme/activation/model"]
    sent(log, again, 10)
    assert log.model_of("acme").revision == 2


def test_removed_territories_are_named() -> None:
    """Of all that is removed, the territories are those whose links end (A11)."""
    changes = PieceChanges((), (), (("role", "r"), ("territory", "t"), ("user", "u")))
    assert removed_territories(changes) == ("t",)


def test_pieces_are_as_their_readers_will_have_them() -> None:
    """A number that no float and no 64 bits can hold is its text, as everywhere (decision of the codec)."""
    long = "12345678901234567890123"
    rules = f"{{deal: {{field: x, eq: {long}}}}}"
    model = check_model(f"{{org: acme, fields: {{deal: {{x: number}}}}, territories: [{{id: a, rules: {rules}}}]}}")
    assert model.pieces["territory", "a"] == {"id": "a", "rules": {"deal": {"field": "x", "eq": long}}}
    log = ModelLog()
    sent(log, messages_of("acme", log, model.pieces, NOW), 0)
    assert log.pieces_of("acme") == model.pieces


def test_faults_of_a_model_are_all_told() -> None:
    """A model is refused whole, with every fault by its path."""
    with pytest.raises(ModelRefused) as refused:
        check_model("{org: acme, nonsense: 1, territories: [{id: a, parent: b}]}")
    assert [fault.path for fault in refused.value.faults] == ["nonsense", "territories[a].parent"]


def test_a_piece_that_no_message_can_carry_is_a_fault() -> None:
    """A piece has to fit into one message; the fault names the piece."""
    document = {"org": "acme", "tables": {"zips": ["x" * 100] * 10_000}}
    with pytest.raises(ModelRefused, match=r"tables\[zips\]: takes"):
        checked(document)


def test_a_file_that_can_not_be_read_is_said_so(tmp_path: Path) -> None:
    """A missing file and one that is no text are ordinary trouble; a byte order mark is none."""
    with pytest.raises(NotFound, match="No such file"):
        read_text(str(tmp_path / "none.yaml"))
    (tmp_path / "latin.yaml").write_bytes(b"org: \xe9")
    with pytest.raises(Refused, match="not UTF-8"):
        read_text(str(tmp_path / "latin.yaml"))
    (tmp_path / "marked.yaml").write_bytes(b"\xef\xbb\xbforg: acme")
    assert read_text(str(tmp_path / "marked.yaml")) == "org: acme"


def test_rules_that_the_engine_cannot_carry_are_faults() -> None:
    """They are refused before anything is sent, since the assigner would refuse them afterwards (contracts: exit 1)."""
    pytest.importorskip("durable", reason="the extra durable is not installed")
    rule = {"account": {"field": "name", "contains": "soft"}}
    text = json.dumps(
        {"org": "acme", "fields": {"account": {"name": "text"}}, "territories": [{"id": "t", "rules": rule}]}
    )
    assert check_model(text).org_id == "acme"
    with pytest.raises(ModelRefused) as refused:
        check_model(text, "durable")
    assert [fault.path for fault in refused.value.faults] == ["territories[t].rules.account"]


# --- what the services refused ----------------------------------------------------------------

SMALL: dict[str, JSON] = {"org": "acme", "territories": [{"id": "world"}]}
SOFT: dict[str, JSON] = {
    "org": "acme",
    "fields": {"account": {"name": "text"}},
    "territories": [{"id": "world", "rules": {"account": {"field": "name", "contains": "soft"}}}],
}


def say(log: ModelLog, document: dict[str, JSON], revision: int, *, whole: bool = True) -> None:
    """Say a model's pieces and activate them; or leave one out."""
    pieces = pieces_of(document)
    said = [
        (key, encode(ModelPiece("acme", *key, revision=revision, value=value))) for key, value in sorted(pieces.items())
    ]
    activation = ModelActivated("acme", revision, len(pieces), digest_of(pieces), "2017-01-01T00:00:00Z")
    for key, value in [*said[: len(said) if whole else -1], (ACTIVATION, encode(activation))]:
        log.take(revision, model_key("acme", *key).encode(), value)


def test_what_is_in_effect_was_not_refused() -> None:
    """Nor was what was never activated."""
    log = ModelLog()
    assert refusal_of(log, "acme", "index") is None
    say(log, SMALL, 1)
    assert refusal_of(log, "acme", "index") is None


def test_an_activation_of_other_pieces_was_refused() -> None:
    """Until another is taken: whoever waits is told that the model before stays in effect."""
    log = ModelLog()
    say(log, SMALL, 1)
    say(log, SOFT, 2, whole=False)
    refused = refusal_of(log, "acme", "index")
    assert refused is not None
    assert (refused.revision, [fault.path for fault in refused.faults]) == (2, ["activation"])
    say(log, SOFT, 3)
    assert refusal_of(log, "acme", "index") is None


def test_a_model_with_faults_was_refused() -> None:
    """Another writer can activate what `territory apply` does not send."""
    log = ModelLog()
    say(log, {"org": "acme", "territories": [{"id": "world", "parent": "nowhere"}]}, 1)
    refused = refusal_of(log, "acme", "index")
    assert refused is not None
    assert refused.revision == 1
    assert "nowhere" in str(refused.faults[0])


def test_a_model_that_the_engine_cannot_carry_was_refused() -> None:
    """It may have been applied by somebody whose settings name another engine."""
    pytest.importorskip("durable", reason="the extra durable is not installed")
    log = ModelLog()
    say(log, SOFT, 1)
    assert refusal_of(log, "acme", "index") is None
    refused = refusal_of(log, "acme", "durable")
    assert refused is not None
    assert [fault.path for fault in refused.faults] == ["territories[world].rules.account"]
