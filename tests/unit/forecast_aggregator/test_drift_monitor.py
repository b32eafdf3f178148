"""Sums that are looked at beside live changes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_aggregator.drift_monitor import AuditRotation
from forecast_aggregator.partials.stage import PartialSumsFold
from territory.stage import Effects, InputMessage
from territory.wire.topics import ASSIGNMENTS
from territory_runtime import metrics
from tests.unit.forecast_aggregator.examples import Q1, deal, model_of

MODEL = model_of()


def tell(fold: PartialSumsFold, deal_id: str, territory_id: str | None, amount: str, version: int) -> None:
    said = deal(territory_id, deal_id, version=version, amount=amount)
    fold.apply(InputMessage(ASSIGNMENTS.name, said.key, said, {}), {"acme": MODEL}, Effects())


def forget(fold: PartialSumsFold, deal_id: str) -> None:
    fold.apply(InputMessage(ASSIGNMENTS.name, f"acme/deal/{deal_id}", None, {}), {"acme": MODEL}, Effects())


def fold_of() -> PartialSumsFold:
    fold = PartialSumsFold(0, 1)
    fold.restored({"acme": MODEL}, frozenset())
    return fold


def counted(kind: str) -> float:
    return metrics.REGISTRY.get_sample_value("territory_forecast_drift_total", {"kind": kind}) or 0.0


_changes = st.lists(
    st.tuples(
        st.sampled_from(["D-1", "D-2", "D-3", "D-4", "D-5"]),
        st.sampled_from(["bay", "west", "world", "east", None, "gone"]),
        st.sampled_from(["1", "0.10", "-3"]),
        st.integers(0, 3),
    ),
    max_size=40,
)


@given(_changes)
def test_live_changes_are_no_drift(changes: list[tuple[str, str | None, str, int]]) -> None:
    """Roots are sums of own sums are sums over deals, at every moment of a walk in slices (F1, F2)."""
    fold, watch = fold_of(), AuditRotation()
    for version, (deal_id, place, amount, looks) in enumerate(changes, 1):
        if place == "gone":
            forget(fold, deal_id)
        else:
            tell(fold, deal_id, place, amount, version)
        for _ in range(looks):
            assert not watch.step({0: fold}, 2)
    for _ in range(50):
        assert not watch.step({0: fold}, 2)


@pytest.mark.parametrize(
    ("key", "kind", "wrong"), [("world", "territory_sum", 1), ("bay", "territory_sum", 2), ("bob", "user_sum", 1)]
)
def test_drift_is_counted(key: str, kind: str, wrong: int) -> None:
    """A sum that is not its own deals and its children is found and counted; one below is wrong above, too (F1)."""
    fold = fold_of()
    tell(fold, "D-1", "bay", "100", 1)
    tell(fold, "D-2", "west", "1", 1)
    place = ("bay", Q1, "bob") if key == "bob" else (key, Q1, None)
    fold.ledger("acme").cells.cells[place].count("won", Decimal("0.01"))
    before = counted(kind)
    found = AuditRotation().step({0: fold}, 100)
    assert found == {kind: wrong}
    assert counted(kind) - before == wrong


def test_deal_that_counts_for_something_else_than_it_says() -> None:
    """What is counted is decided once more (F1)."""
    fold = fold_of()
    tell(fold, "D-1", "bay", "100", 1)
    books = fold.ledger("acme")
    books.deals["acme/deal/D-1"].assignment = deal("bay", "D-1", amount="101")
    assert AuditRotation().step({0: fold}, 100) == {"deal": 1}


def test_not_while_it_is_swept() -> None:
    """Deals are under two models then; the walk goes on to others, and comes back (F9)."""
    fold, watch = fold_of(), AuditRotation()
    for number in range(3):
        tell(fold, f"D-{number}", "bay", "1", 1)
    newer = model_of(2, territories=[{"id": "bay"}])
    sweep = fold.sweep(newer, 1)
    next(sweep)
    assert not watch.step({0: fold}, 100)
    list(sweep)
    for _ in range(3):
        assert not watch.step({0: fold}, 100)
    assert not watch.step({}, 1)
    assert not watch.step({}, 1)


def test_not_before_it_is_swept() -> None:
    """A deal may come under a later model before its organisation's turn to be swept: no walk till then (F9)."""
    fold, watch = fold_of(), AuditRotation()
    for number in range(3):
        tell(fold, f"D-{number}", "bay", "1", 1)
    newer = model_of(2, territories=[{"id": "bay"}])
    assert not watch.step({0: fold}, 1)  # one walk is under way already
    said = deal("bay", "D-0", version=2, amount="2")
    fold.apply(InputMessage(ASSIGNMENTS.name, said.key, said, {}), {"acme": newer}, Effects())
    for _ in range(3):
        assert not watch.step({0: fold}, 100)
    list(fold.sweep(newer, 1))
    fold.ledger("acme").cells.cells["bay", Q1, None].count("won", Decimal(1))
    assert [watch.step({0: fold}, 100) for _ in range(2)][-1] == {"territory_sum": 1}


def test_sums_without_deals() -> None:
    """Sums that stay when all deals are gone are looked at, too (F1)."""
    fold = fold_of()
    tell(fold, "D-1", "world", "1", 1)
    stays = fold.ledger("acme").cells.cells["world", Q1, None]
    forget(fold, "D-1")
    stays.count("won", Decimal(1))
    fold.ledger("acme").cells.cells["world", Q1, None] = stays
    assert AuditRotation().step({0: fold}, 100) == {"territory_sum": 1}
