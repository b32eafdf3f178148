from __future__ import annotations

from typing import cast

from forecast_aggregator.partials.stage import PartialSumsFold
from territory.model.compiled import compile_model
from territory.stage import Effects, InputMessage
from territory.wire.topics import ASSIGNMENTS
from territory_admin.consistency.partial_comparison import PartialComparison
from territory_admin.consistency.stage_log import StageLog
from tests.unit.forecast_aggregator.examples import Q1, deal, model_of


def test_frozen_sums_are_comparison_beside_current_ones() -> None:
    """A closed period without deals keeps its figures, and they are expected on the topic (F12)."""
    model = model_of(frozen_periods=[Q1])
    comparison = PartialComparison(cast(StageLog, None), compile_model({"org": "acme"}, 1), 1)
    fold, models = PartialSumsFold(0, 1), {"acme": model}
    place = (("acme", "bay", Q1, None), 0)
    fold.restore(InputMessage(ASSIGNMENTS.name, deal().key, deal(), {}))
    fold.restored(models, frozenset())
    fold.flush(models, Effects())  # closes the period
    assert comparison.expected(fold, place)["won"] == "100"
    fold.apply(InputMessage(ASSIGNMENTS.name, deal().key, None, {}), models, Effects())
    expected = comparison.expected(fold, place)
    assert (expected["deals"], expected["frozen_won"], expected["frozen_deals_won"]) == ("0", "100", "1")
    assert [place] in list(comparison.implied_entries(fold))
