"""What one call leaves for the next: partials beyond a bound, resyncs in chunks."""

from __future__ import annotations

from forecast_aggregator.partials.stage import FLUSH_UNITS_MAX, PartialSumsFold
from territory.stage import Effects, Message
from territory.wire.events import Assignment, Partial, SourceSwept
from tests.unit.forecast_aggregator.examples import MODEL, deal, incoming, model_of

MODELS = {"acme": MODEL}
DEALS = FLUSH_UNITS_MAX
"""Each changes four partials: as many as four flushes publish."""


def in_quarter(number: int, *, version: int = 1) -> Assignment:
    """Return a won deal in a quarter of its own."""
    year, quarter = divmod(number, 4)
    return deal(deal_id=f"D-{number}", version=version, close_date=f"{2000 + year}-{3 * quarter + 1:02d}-01")


def keys_of(messages: list[Message]) -> list[str]:
    return [message.key for message in messages if message.value is None or isinstance(message.value, Partial)]


def held_from(fold: PartialSumsFold) -> int | None:
    return fold.unfinished_from


def proceeded(fold: PartialSumsFold, limit: int) -> Effects:
    effects = Effects()
    fold.proceed(MODELS, effects, limit)
    return effects


def test_flush_publishes_a_bounded_number_of_partials() -> None:
    """The rest follows by `proceed`, each partial once; until then no offset of the batch may be committed (A9)."""
    fold, effects = PartialSumsFold(0, 1), Effects()
    fold.restored(MODELS, frozenset())
    for number in range(DEALS):
        fold.apply(incoming(in_quarter(number))._replace(offset=7 + number), MODELS, effects)
    assert held_from(fold) is None  # the flush is still to come
    fold.flush(MODELS, effects)
    published = keys_of(effects.messages)
    assert len(published) == FLUSH_UNITS_MAX
    while held_from(fold) is not None:
        assert held_from(fold) == 7
        more = keys_of(proceeded(fold, 100).messages)
        assert 0 < len(more) <= 100
        published += more
    assert len(published) == len(set(published)) == 4 * (DEALS + DEALS // 4)  # four keys a quarter, and a year


def test_first_offset_stays_held_while_batches_follow() -> None:
    """A later batch does not release the offset of one whose partials are not all published (A9)."""
    fold, effects = PartialSumsFold(0, 1), Effects()
    fold.restored(MODELS, frozenset())
    for number in range(DEALS):
        fold.apply(incoming(in_quarter(number))._replace(offset=7), MODELS, effects)
    fold.flush(MODELS, effects)
    fold.apply(incoming(in_quarter(0, version=2))._replace(offset=900), MODELS, effects)
    fold.flush(MODELS, effects)
    assert held_from(fold) == 7
    proceeded(fold, 5 * DEALS)
    assert held_from(fold) is None
    fold.apply(incoming(in_quarter(1, version=2))._replace(offset=901), MODELS, effects)
    fold.flush(MODELS, effects)
    assert held_from(fold) is None


def test_unpublished_partials_of_a_sweep_hold_back_no_offset() -> None:
    """Until the sweep has ended, a successor publishes all of the organisation's partials anyway (A9)."""
    fold, newer = PartialSumsFold(0, 1), model_of(2, rates=[])
    fold.restored(MODELS, frozenset())
    sweep = fold.sweep(newer, 1)
    for number in range(3):
        fold.apply(incoming(in_quarter(number))._replace(offset=number), {"acme": newer}, Effects())
        next(sweep, None)
        fold.flush({"acme": newer}, Effects())
        assert held_from(fold) is None


def test_resync_is_announced_before_the_first_partial_and_ended_after_the_last() -> None:
    """Also if a newer model replaces its sweep half way: the resync begins again with all partials (F2)."""
    fold, newer = PartialSumsFold(0, 1), model_of(2)
    for number in range(5):
        fold.restore(incoming(in_quarter(number)))
    fold.restored(MODELS, frozenset({"acme"}))
    abandoned = fold.sweep(MODEL, 3)
    while not next(abandoned).messages:
        pass
    messages: list[Message] = []
    for effects in fold.sweep(newer, 3):
        assert len(effects.messages) <= 3 + 1
        messages += effects.messages
    first, *partials, last = messages
    assert (first.value, last.value) == (SourceSwept("acme", 0, ended=False), SourceSwept("acme", 0, ended=True))
    assert len(set(keys_of(partials))) == len(partials) == 4 * (5 + 2)  # of five quarters in two years
    assert all(isinstance(each.value, Partial) and each.value.model_revision == 2 for each in partials)
