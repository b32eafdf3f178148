"""Pieces become a model when their activation comes, whole or not at all; days pass by the clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from territory.errors import BadMessage, Fault, ModelRefused
from territory.model.compiled import Model, digest_of
from territory.model.document import PieceKey, pieces_of
from territory.wire.codec import JSON, encode
from territory.wire.events import ACTIVATION, ModelActivated, ModelPiece
from territory.wire.keys import model_key
from territory_runtime.health import Health
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_pieces import Pieces
from territory_runtime.loop.model_snapshot import SnapshotId
from territory_runtime.loop.model_watcher import DAYS_BACK_MAX, ModelWatcher, activated_model
from territory_runtime.metrics import REGISTRY
from territory_runtime.settings import read_settings

DOCUMENT: dict[str, Any] = {
    "org": "acme",
    "roles": [{"id": "r"}],
    "users": [{"id": "u", "role": "r"}],
    "territories": [{"id": "t", "manager": "u"}],
}


def _take_all(pieces: Pieces, document: dict[str, Any]) -> ModelActivated:
    values = pieces_of(document)
    for (kind, name), value in values.items():
        taken = pieces.take(model_key("acme", kind, name), encode(ModelPiece("acme", kind, name, 1, value)))
        assert taken is None
    activation = ModelActivated("acme", 1, len(values), digest_of(values), "2026-01-01T00:00:00Z")
    taken = pieces.take(model_key("acme", *ACTIVATION), encode(activation))
    assert taken == activation
    return activation


def test_pieces_add_up_to_the_document() -> None:
    """The activated model equals the applied document."""
    pieces = Pieces()
    model = activated_model(_take_all(pieces, DOCUMENT), pieces.of("acme"), {})
    assert list(model.territories) == ["t"]
    assert model.territories["t"].members == {"u"}


def test_a_missing_piece_is_no_model() -> None:
    """An activation whose pieces are not all there activates nothing."""
    pieces = Pieces()
    activation = _take_all(pieces, DOCUMENT)
    pieces.take(model_key("acme", "territory", "t"), None)
    with pytest.raises(ModelRefused):
        activated_model(activation, pieces.of("acme"), {})


def test_a_removal_needs_no_pieces() -> None:
    """The model of a removed organisation is empty and says so, even where a piece is left on the topic (A12)."""
    removal = ModelActivated("acme", 2, 0, digest_of({}), "2026-01-01T00:00:00Z", removed=True)
    pieces_left: list[dict[PieceKey, JSON]] = [{}, {("territory", "t"): {"id": "t"}}]
    for left in pieces_left:
        model = activated_model(removal, left, {"2017-Q1": 1})
        assert (model.org_id, model.revision, model.is_removed) == ("acme", 2, True)
        assert (len(model.territories), len(model.people), len(model.closed_since)) == (0, 0, 0)
    assert not activated_model(_take_all(pieces := Pieces(), DOCUMENT), pieces.of("acme"), {}).is_removed


def test_a_piece_of_half_an_apply_changes_nothing_yet() -> None:
    """Pieces have no effect before their activation: the model in effect stays whole."""
    pieces = Pieces()
    activation = _take_all(pieces, DOCUMENT)
    before = pieces.of("acme")
    pieces.take(model_key("acme", "territory", "t2"), encode(ModelPiece("acme", "territory", "t2", 2, {"id": "t2"})))
    assert activated_model(activation, before, {}).territories.keys() == {"t"}


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("acme", b"{}", "wrong_key"),
        ("acme/territory/t", b"not json", "not_json"),
        ("acme/territory/t", b'{"org_id": 1}', "wrong_type"),
        ("acme/activation/model", b"{}", "wrong_type"),
    ],
)
def test_a_malformed_piece_is_refused(key: str, value: bytes, code: str) -> None:
    """A message that is neither piece nor activation is refused by name."""
    with pytest.raises(BadMessage) as refused:
        Pieces().take(key, value)
    assert refused.value.code == code


# --- in effect -------------------------------------------------------------------------------

DAILY: dict[str, Any] = {
    **DOCUMENT,
    "fields": {"account": {"since": "date"}},
    "territories": [{"id": "t", "rules": {"account": {"field": "since", "within_last_days": 7}}}],
}
ABROAD: dict[str, Any] = {**DAILY, "org": "beta", "settings": {"time_zone": "Asia/Tokyo"}}
NOON = datetime(2017, 2, 28, 12, tzinfo=UTC).timestamp()
FIRST, SECOND = date(2017, 2, 28), date(2017, 3, 1)
HOUR = 3600
DAY = 24 * HOUR


class _Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


class _Watcher(ModelWatcher):
    """The watcher of a topic that a test says the messages of."""

    end = 0
    beat_seconds = 0.001

    async def _end_of_topic(self) -> int:
        return self.end


class _Topic:
    """The model topic, and who follows it."""

    def __init__(self) -> None:
        self.clock = _Clock()
        self.health = Health()
        self.watcher = _Watcher(read_settings({}), self.health, self.clock)

    async def say(self, key: str, value: bytes | None, sent_ms: int = 0) -> None:
        self.watcher.end += 1
        await self.watcher.take(self.watcher.end - 1, key.encode(), value, sent_ms)

    async def activate(self, document: Mapping[str, Any], revision: int = 1, sent_ms: int = 0) -> None:
        """Say all pieces of a model, and activate it."""
        org, values = str(document["org"]), pieces_of(document)
        for (kind, name), value in values.items():
            await self.say(model_key(org, kind, name), encode(ModelPiece(org, kind, name, revision, value)))
        activation = ModelActivated(org, revision, len(values), digest_of(values), "2026-01-01T00:00:00Z")
        await self.say(model_key(org, *ACTIVATION), encode(activation), sent_ms)

    @property
    def position(self) -> int:
        """Where the last message is."""
        return self.watcher.end - 1

    def revisions(self, *, follows_days: bool = False) -> dict[str, int]:
        models = self.watcher.in_effect(follows_days=follows_days).models
        return {org: model.revision for org, model in models.items()}

    def closed_since(self) -> Mapping[str, int]:
        return self.watcher.activated.models["acme"].closed_since

    @property
    def days(self) -> dict[str, date | None]:
        return {org: model.today for org, model in self.watcher.today.models.items()}


SECONDS_MAX = 30
"""Only a part that never beats takes so long."""


def idle() -> None:
    """Hear that somebody waits, and do nothing about it."""


def refuse(_: Model) -> None:
    """Make nothing of a model."""
    raise ModelRefused([Fault("territories", "too many")])


def said(name: str) -> float:
    value = REGISTRY.get_sample_value(name)
    assert value is not None, name
    return value


def test_since_when_a_period_is_closed() -> None:
    """The revision of its piece, which is published when it is closed and removed when it is opened (F12)."""

    async def story() -> None:
        topic = _Topic()
        await topic.activate({**DOCUMENT, "frozen_periods": ["2017-Q1"]})
        assert topic.closed_since() == {"2017-Q1": 1}
        await topic.say(model_key("acme", "frozen", "2017-Q1"), None)
        await topic.activate(DOCUMENT, revision=2)
        assert topic.closed_since() == {}
        await topic.activate({**DOCUMENT, "frozen_periods": ["2017-Q1"]}, revision=3)
        assert topic.closed_since() == {"2017-Q1": 3}

    asyncio.run(story())


def test_metrics_show_the_model_in_effect_and_since_when() -> None:
    """Position and time are those of the newest activation in effect; a refused one is passed, and has no time."""

    async def story() -> None:
        topic = _Topic()
        await topic.activate(DOCUMENT, sent_ms=5_000)
        assert said("territory_model_position") == topic.position
        assert (said("territory_model_activated_timestamp_seconds"), said("territory_model_revision")) == (5.0, 1)
        topic.watcher.prepare_with(refuse, follows_days=False)
        refused = said("territory_models_refused_total")
        await topic.activate(DOCUMENT, revision=2, sent_ms=9_000)
        assert said("territory_models_refused_total") == refused + 1
        assert said("territory_model_position") == topic.position
        assert (said("territory_model_activated_timestamp_seconds"), said("territory_model_revision")) == (5.0, 1)

    asyncio.run(story())


def test_a_model_topic_that_ends_right_before_a_committed_model_was_replaced() -> None:
    """The end is the offset after the last message: a model at that very offset is not there (A9).

    Otherwise the restore would wait for it for ever.
    """

    async def story() -> None:
        topic = _Topic()
        await topic.activate(DOCUMENT)
        committed = CommitMetadata(SnapshotId(topic.position), SnapshotId(topic.watcher.end), epoch=5)
        async with asyncio.timeout(SECONDS_MAX):
            assert await topic.watcher.reached(committed, idle) == CommitMetadata(epoch=5)
        assert topic.watcher.was_replaced

    asyncio.run(story())


@pytest.mark.parametrize("is_applied_before", [True, False])
def test_commit_metadata_of_a_replaced_topic_counts_as_none(is_applied_before: bool) -> None:
    """The worker reports it and waits until a model is applied again; then everything is emitted again (A9).

    Else a restore would wait until the new topic is as long as the old one was, and take output
    under the old topic's models for output under the new one's.
    """
    metadata = CommitMetadata(SnapshotId(8, 1), SnapshotId(9, 2), 3, 4, epoch=5, write_sequence=6)

    async def story() -> None:
        topic = _Topic()
        if is_applied_before:
            await topic.activate(DOCUMENT)
        with capture_logs() as lines:
            reaching = asyncio.create_task(topic.watcher.reached(metadata, idle))
            other = asyncio.create_task(topic.watcher.reached(metadata, idle))
            await asyncio.sleep(0)
            if not is_applied_before:
                assert "apply every model again" in topic.health.hindrances["model"]
                await topic.activate(DOCUMENT)
            assert await reaching == await other == CommitMetadata(epoch=5, write_sequence=6)
        told = [line for line in lines if line["event"] == "the model topic was replaced"]
        assert len(told) == (0 if is_applied_before else 1)
        assert topic.health.hindrances == {}
        assert topic.position < metadata.target.position

    asyncio.run(story())


def test_a_worker_that_waits_for_a_model_is_alive() -> None:
    """However long it takes until a model is applied again: the wait reports progress, and /live stays 200."""

    async def story() -> None:
        topic, beats = _Topic(), asyncio.Event()
        count = 0

        def beat() -> None:
            nonlocal count
            count += 1
            if count == 3:
                beats.set()

        metadata = CommitMetadata(target=SnapshotId(9))
        reaching = asyncio.create_task(topic.watcher.reached(metadata, beat))
        async with asyncio.timeout(SECONDS_MAX):
            await beats.wait()
        assert not reaching.done()
        await topic.activate(DOCUMENT)
        assert await reaching == CommitMetadata()
        assert topic.watcher.was_replaced

    asyncio.run(story())


def test_a_newer_model_than_is_in_effect_is_waited_for() -> None:
    """If the topic has that model, the commit metadata is valid: the worker is only behind."""

    async def story() -> None:
        topic = _Topic()
        await topic.activate(DOCUMENT)
        topic.watcher.end += 1  # of a message that is on its way
        metadata = CommitMetadata(SnapshotId(), SnapshotId(topic.position))
        reaching = asyncio.create_task(topic.watcher.reached(metadata, idle))
        await asyncio.sleep(0)
        assert not reaching.done()
        topic.watcher.end -= 1
        await topic.activate(DOCUMENT, revision=2)
        assert await reaching == metadata
        assert topic.health.hindrances == {}

    asyncio.run(story())


def test_a_model_is_in_effect_once_it_is_prepared() -> None:
    """While a stage prepares a model, live records are processed under the previous one."""

    async def story() -> None:
        topic, begun, released = _Topic(), threading.Event(), threading.Event()

        def prepare(model: Model) -> None:
            if model.revision == 2:
                begun.set()
                released.wait()

        topic.watcher.prepare_with(prepare, follows_days=False)
        topic.watcher.prepare_with(prepare, follows_days=True)
        await topic.activate(DOCUMENT)
        before = topic.watcher.activated
        activating = asyncio.create_task(topic.activate(DOCUMENT, revision=2))
        try:
            await asyncio.to_thread(begun.wait)
            # Turns are taken by this event loop, which runs: what they ask for is the model before.
            assert topic.watcher.in_effect(follows_days=False) is before
            assert topic.revisions(follows_days=True) == {"acme": 1}
            assert not activating.done()
        finally:
            released.set()
        await activating
        assert topic.revisions() == topic.revisions(follows_days=True) == {"acme": 2}

    asyncio.run(story())


@pytest.mark.parametrize("follows_days", [False, True])
@pytest.mark.parametrize("document", [DOCUMENT, DAILY], ids=["no dates", "relative dates"])
def test_a_model_that_a_stage_cannot_prepare_is_refused(document: dict[str, Any], follows_days: bool) -> None:
    """The previous model stays in effect everywhere, and the position is reached all the same."""

    async def story() -> None:
        topic = _Topic()
        await topic.activate(DOCUMENT)
        topic.watcher.prepare_with(refuse, follows_days=follows_days)
        await topic.activate(document, revision=2)
        assert topic.revisions() == topic.revisions(follows_days=True) == {"acme": 1}
        await topic.watcher.reached(CommitMetadata(target=SnapshotId(topic.position)), idle)

    asyncio.run(story())


def test_every_model_and_day_is_prepared_for_once() -> None:
    """Stages that follow days prepare the day's model, others the model without a day; none is prepared twice (C7)."""

    async def story() -> None:
        topic = _Topic()
        dated: list[tuple[str, date | None]] = []
        undated: list[tuple[str, date | None]] = []
        topic.watcher.prepare_with(lambda model: dated.append((model.org_id, model.today)), follows_days=True)
        topic.watcher.prepare_with(lambda model: undated.append((model.org_id, model.today)), follows_days=False)
        await topic.activate(DAILY)
        await topic.activate({**DOCUMENT, "org": "plain"})
        topic.clock.now += DAY
        for _ in range(2):
            await topic.watcher.check_day()
        await topic.watcher.as_of(int(NOON + DAY), follows_days=True)
        assert dated == [("acme", FIRST), ("plain", None), ("acme", SECOND)]
        assert undated == [("acme", None), ("plain", None)]

    asyncio.run(story())


def test_a_day_passes_where_the_organisation_is() -> None:
    """At midnight of its own time zone, and back if the clock is set back; others keep their model (C7)."""

    async def story() -> None:
        topic = _Topic()
        for document in (DAILY, ABROAD, {**DOCUMENT, "org": "plain"}):
            await topic.activate(document)
        seen = [topic.days]
        kept = topic.watcher.today.models["acme"]
        for hours in (4, 12, -12):
            topic.clock.now += hours * HOUR
            await topic.watcher.check_day()
            seen.append(topic.days)
            if hours == 4:
                assert topic.watcher.today.models["acme"] is kept
        assert seen == [
            {"acme": FIRST, "beta": FIRST, "plain": None},
            {"acme": FIRST, "beta": SECOND, "plain": None},
            {"acme": SECOND, "beta": SECOND, "plain": None},
            {"acme": FIRST, "beta": SECOND, "plain": None},
        ]
        assert {model.today for model in topic.watcher.activated.models.values()} == {None}

    asyncio.run(story())


def test_nothing_is_new_while_no_day_has_passed() -> None:
    """Where no rule depends on the day, or it is the same day, the clock changes nothing (C7)."""

    async def story() -> None:
        topic = _Topic()
        await topic.activate(DOCUMENT)
        before = topic.watcher.today
        topic.clock.now += 9 * DAY
        await topic.watcher.check_day()
        assert topic.watcher.today is before
        await topic.activate(DAILY, revision=2)
        assert topic.days == {"acme": date(2017, 3, 9)}
        before = topic.watcher.today
        topic.clock.now += HOUR
        await topic.watcher.check_day()
        assert topic.watcher.today is before

    asyncio.run(story())


def test_a_refused_day_is_tried_again() -> None:
    """The previous day stays in effect until then (C7)."""

    async def story() -> None:
        topic = _Topic()
        tries: list[date | None] = []

        def prepare(model: Model) -> None:
            tries.append(model.today)
            if len(tries) == 2:
                refuse(model)

        topic.watcher.prepare_with(prepare, follows_days=True)
        await topic.activate(DAILY)
        topic.clock.now += DAY
        await topic.watcher.check_day()
        assert topic.days == {"acme": FIRST}
        await topic.watcher.check_day()
        assert topic.days == {"acme": SECOND}
        assert tries == [FIRST, SECOND, SECOND]

    asyncio.run(story())


def test_a_refused_day_delays_no_other_organisation() -> None:
    """Other organisations' days pass, and models come into effect; a successor finds the previous day, too (C7)."""

    async def story() -> None:
        topic = _Topic()
        watcher = topic.watcher

        def prepare(model: Model) -> None:
            if model.org_id == "acme" and model.today == SECOND:
                refuse(model)

        watcher.prepare_with(prepare, follows_days=True)
        for document in (DAILY, ABROAD):
            await topic.activate(document)
        kept = watcher.today.models["acme"]
        topic.clock.now += DAY
        await watcher.check_day()
        assert topic.days == {"acme": FIRST, "beta": SECOND}
        assert watcher.today.models["acme"] is kept
        await topic.activate({**DOCUMENT, "org": "plain"})
        await topic.activate(ABROAD, revision=2)
        assert topic.revisions(follows_days=True) == {"acme": 1, "beta": 2, "plain": 1}
        topic.clock.now += DAY
        await watcher.check_day()
        assert topic.days == {"acme": date(2017, 3, 2), "beta": date(2017, 3, 2), "plain": None}
        resumed = await watcher.as_of(int(NOON + DAY), follows_days=True)
        assert resumed.models["acme"].today == FIRST

    asyncio.run(story())


def test_several_refused_days_in_a_row() -> None:
    """The last valid day stays in effect, however long ago; the others' days pass (C7)."""

    async def story() -> None:
        topic = _Topic()

        def prepare(model: Model) -> None:
            if model.org_id == "acme" and model.today != FIRST:
                refuse(model)

        topic.watcher.prepare_with(prepare, follows_days=True)
        for document in (DAILY, ABROAD):
            await topic.activate(document)
        topic.clock.now += (DAYS_BACK_MAX + 2) * DAY
        await topic.watcher.check_day()
        assert topic.days == {"acme": FIRST, "beta": SECOND + timedelta(DAYS_BACK_MAX + 1)}

    asyncio.run(story())


def test_models_of_an_earlier_day_are_there_for_a_successor() -> None:
    """As of an instant: the models of that day, the same on every call; without a day where none matters (C7)."""

    async def story() -> None:
        topic = _Topic()
        await topic.activate(DAILY)
        watcher, yesterday = topic.watcher, int(NOON - DAY)
        one, other = [await watcher.as_of(yesterday + offset, follows_days=True) for offset in (0, 1)]
        assert one.models["acme"].today == date(2017, 2, 27)
        assert one.models["acme"] is other.models["acme"]
        assert one.id == (topic.position, yesterday)
        assert (await watcher.as_of(int(NOON), follows_days=True)).models == watcher.today.models
        assert await watcher.as_of(None, follows_days=True) is watcher.today
        assert await watcher.as_of(yesterday, follows_days=False) is watcher.activated

    asyncio.run(story())
