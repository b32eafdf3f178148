"""The audit beside live changes."""

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


def apply_deal(fold: PartialSumsFold, deal_id: str, territory_id: str | None, amount: str, version: int) -> None:
    said = deal(territory_id, deal_id, version=version, amount=amount)
    fold.apply(InputMessage(ASSIGNMENTS.name, said.key, said, {}), {"acme": MODEL}, Effects())


def delete_deal(fold: PartialSumsFold, deal_id: str) -> None:
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
    """The audit finds no drift while deals change between its steps (F1, F2)."""
    fold, rotation = fold_of(), AuditRotation()
    for version, (deal_id, place, amount, looks) in enumerate(changes, 1):
        if place == "gone":
            delete_deal(fold, deal_id)
        else:
            apply_deal(fold, deal_id, place, amount, version)
        for _ in range(looks):
            assert not rotation.step({0: fold}, 2)
    for _ in range(50):
        assert not rotation.step({0: fold}, 2)


@pytest.mark.parametrize(
    ("key", "kind", "wrong"), [("world", "territory_sum", 1), ("bay", "territory_sum", 2), ("bob", "user_sum", 1)]
)
def test_drift_is_counted(key: str, kind: str, wrong: int) -> None:
    """A wrong sum is found and counted; it makes its parent's sum wrong as well (F1)."""
    fold = fold_of()
    apply_deal(fold, "D-1", "bay", "100", 1)
    apply_deal(fold, "D-2", "west", "1", 1)
    place = ("bay", Q1, "bob") if key == "bob" else (key, Q1, None)
    fold.ledger("acme").cells.cells[place].count("won", Decimal("0.01"))
    before = counted(kind)
    found = AuditRotation().step({0: fold}, 100)
    assert found == {kind: wrong}
    assert counted(kind) - before == wrong


def test_deal_that_is_counted_wrongly() -> None:
    """Each deal's contribution is computed again and compared (F1)."""
    fold = fold_of()
    apply_deal(fold, "D-1", "bay", "100", 1)
    books = fold.ledger("acme")
    books.deals["acme/deal/D-1"].assignment = deal("bay", "D-1", amount="101")
    assert AuditRotation().step({0: fold}, 100) == {"deal": 1}


def test_no_audit_during_a_sweep() -> None:
    """Deals are under two models then; the audit skips the organisation and returns later (F9)."""
    fold, rotation = fold_of(), AuditRotation()
    for number in range(3):
        apply_deal(fold, f"D-{number}", "bay", "1", 1)
    newer = model_of(2, territories=[{"id": "bay"}])
    sweep = fold.sweep(newer, 1)
    next(sweep)
    assert not rotation.step({0: fold}, 100)
    list(sweep)
    for _ in range(3):
        assert not rotation.step({0: fold}, 100)
    assert not rotation.step({}, 1)
    assert not rotation.step({}, 1)


def test_no_audit_before_a_sweep_that_is_due() -> None:
    """After a deal was counted under a later model, the audit waits for the sweep (F9)."""
    fold, rotation = fold_of(), AuditRotation()
    for number in range(3):
        apply_deal(fold, f"D-{number}", "bay", "1", 1)
    newer = model_of(2, territories=[{"id": "bay"}])
    assert not rotation.step({0: fold}, 1)  # one walk is under way already
    said = deal("bay", "D-0", version=2, amount="2")
    fold.apply(InputMessage(ASSIGNMENTS.name, said.key, said, {}), {"acme": newer}, Effects())
    for _ in range(3):
        assert not rotation.step({0: fold}, 100)
    list(fold.sweep(newer, 1))
    fold.ledger("acme").cells.cells["bay", Q1, None].count("won", Decimal(1))
    assert [rotation.step({0: fold}, 100) for _ in range(2)][-1] == {"territory_sum": 1}


def test_sums_without_deals() -> None:
    """Sums without any deal are audited too (F1)."""
    fold = fold_of()
    apply_deal(fold, "D-1", "world", "1", 1)
    stays = fold.ledger("acme").cells.cells["world", Q1, None]
    delete_deal(fold, "D-1")
    stays.count("won", Decimal(1))
    fold.ledger("acme").cells.cells["world", Q1, None] = stays
    assert AuditRotation().step({0: fold}, 100) == {"territory_sum": 1}
