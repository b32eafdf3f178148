"""What is compared of partial sums, without a log."""

from __future__ import annotations

from typing import cast

from forecast_aggregator.partials.stage import PartialSumsFold
from territory.model.compiled import compile_model
from territory.stage import Effects, InputMessage
from territory.wire.topics import ASSIGNMENTS
from territory_admin.consistency.partial_sums import PartialComparison
from territory_admin.consistency.stage_log import StageLog
from tests.unit.forecast_aggregator.examples import Q1, deal, model_of


def test_what_was_frozen_is_compared_beside_what_is() -> None:
    """A closed period without live deals keeps its figures; and they are expected on the log (F12)."""
    model = model_of(frozen_periods=[Q1])
    compared = PartialComparison(cast(StageLog, None), compile_model({"org": "acme"}, 1), 1)
    fold, models = PartialSumsFold(0, 1), {"acme": model}
    place = (("acme", "bay", Q1, None), 0)
    fold.restore(InputMessage(ASSIGNMENTS.name, deal().key, deal(), {}))
    fold.restored(models, frozenset())
    fold.flush(models, Effects())  # closes the period
    assert compared.expected(fold, place)["won"] == "100"
    fold.apply(InputMessage(ASSIGNMENTS.name, deal().key, None, {}), models, Effects())
    expected = compared.expected(fold, place)
    assert (expected["deals"], expected["frozen_won"], expected["frozen_deals_won"]) == ("0", "100", "1")
    assert [place] in list(compared.places(fold))
