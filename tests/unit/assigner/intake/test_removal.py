"""Intake takes nothing of a removed organisation, and answers its families to the end (A12)."""

from __future__ import annotations

import pytest

from assigner.intake.merge import GONE_AGAIN, INTAKE_PARTITION, REASON
from assigner.intake.stage import IntakeFold
from territory.model.removal import removed_model
from territory.stage import Effects, InputMessage
from territory.wire.codec import encode
from territory.wire.events import Released
from territory.wire.keys import upstream_partition_of
from territory.wire.rerouting import REROUTED, STATE
from territory.wire.topics import FAMILIES, RELEASES
from tests.unit.assigner.examples import change, key_of, record, sent

KEY = key_of("deal/D-1")
ORG = KEY.split("/", 1)[0]
REMOVED = {ORG: removed_model(ORG, 2)}


def returned(value: object, **headers: str) -> Effects:
    effects = Effects()
    message = InputMessage(
        RELEASES.name, KEY, bytes(encode(value)), {k.replace("_", "-"): v for k, v in headers.items()}
    )
    IntakeFold(1, partitions=3).apply(message, REMOVED, effects)
    return effects


def test_a_release_is_answered_without_the_record() -> None:
    """A family that was behind may have published after the tombstone: another tombstone follows, once (A8, A12)."""
    [answer] = returned(Released(ORG, "deal", "D-1", again=False)).messages
    assert (answer.topic, answer.key, answer.value, answer.route) == (FAMILIES.name, KEY, None, KEY)
    assert dict(answer.headers) == {REASON: GONE_AGAIN, INTAKE_PARTITION: "1"}
    assert returned(Released(ORG, "deal", "D-1", again=True)).messages == []


def test_an_ignored_change_is_withdrawn_from_every_partition() -> None:
    """A worker that stopped may have forwarded it to any family before it came to the removal (A9, A12)."""
    effects = Effects()
    arriving = sent(change("upsert", "deal/D-1", 3))
    IntakeFold(1, partitions=3).apply(arriving, REMOVED, effects)
    assert [(each.key, each.value, each.route) for each in effects.messages] == [(KEY, None, n) for n in range(3)]
    assert effects.state == []


def test_a_state_that_is_sent_home_late_is_withdrawn() -> None:
    """Its family has the record, so the family gets its tombstone; nothing is stored (A12)."""
    sent = record("deal/D-1", 3, account_id="A-1", intake_partition=2)
    effects = returned(sent, **{REROUTED: STATE})
    [tombstone] = effects.messages
    assert (tombstone.key, tombstone.value, tombstone.route) == (KEY, None, sent.family)
    assert dict(tombstone.headers) == {INTAKE_PARTITION: "1"}
    assert effects.state == []


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_sweep_forgets_in_chunks(limit: int) -> None:
    """At most `limit` records a chunk; each with a tombstone of its state after that to its family (A9, A12)."""
    fold = IntakeFold(upstream_partition_of(KEY, 1), partitions=1)
    for number in range(5):
        one = record(f"deal/D-{number}", 1)
        fold.restore(InputMessage("", one.key, one, {}))
    fold.restored(REMOVED, frozenset())
    chunks = list(fold.sweep(REMOVED[ORG], limit))
    assert max(chunk.swept for chunk in chunks) == min(limit, 5)
    assert all(len(chunk.messages) == len(chunk.state) == chunk.swept for chunk in chunks)
    assert sum(chunk.swept for chunk in chunks) == 5
    assert len(fold) == 0
