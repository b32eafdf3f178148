"""What is compared of partial sums, without a log."""

from __future__ import annotations

from typing import cast

from forecast_aggregator.core.summing import Summing
from territory.fold import Effects, Incoming
from territory.model import compile_model
from territory.topics import ASSIGNMENTS
from territory_control.partial_sums import PartialComparison
from territory_control.stage_log import StageLog
from tests.unit.forecast_aggregator.core.examples import Q1, deal, model_of


def test_nothing_is_expected_of_what_was_only_frozen() -> None:
    """Of a closed period without live deals nothing is compared, as nothing is seen of it on the log (F12)."""
    model = model_of(frozen_periods=[Q1])
    compared = PartialComparison(cast(StageLog, None), compile_model({"org": "acme"}, 1), 1)
    fold, models = Summing(0, 1), {"acme": model}
    place = (("acme", "bay", Q1, None), 0)
    fold.restore(Incoming(ASSIGNMENTS.name, deal().key, deal(), {}))
    fold.restored(models, frozenset())
    fold.flush(models, Effects())  # it does not read what was frozen, and closes the period itself
    assert compared.expected(fold, place)["won"] == "100"
    fold.apply(Incoming(ASSIGNMENTS.name, deal().key, None, {}), models, Effects())
    assert fold.partial(*place[0]) is not None
    assert compared.expected(fold, place) == {}
