"""Why a territory takes a record, why another does not, and which ones nearly did."""

from __future__ import annotations

from typing import Any

import pytest

from assigner.core.links import Linker
from territory.criteria import Failure
from tests.unit.assigner.core.examples import SAN_FRANCISCO, model_of


def test_why_names_the_leaves_that_held() -> None:
    """From the root down, ancestors' leaves included (A10)."""
    linker = Linker(model_of())
    fields = linker.fields_of("account", SAN_FRANCISCO)
    assert linker.telling("account").why("bay", fields) == (
        "west: country in [US, CA]",
        "bay: city eq San Francisco",
    )


@pytest.mark.parametrize(
    ("fields", "failure"),
    [
        ({"country": "FR", "city": "Nice"}, ("west", Failure("country in [US, CA]", "fr"))),
        ({"country": "US"}, ("bay", Failure("city eq San Francisco", None))),
        (SAN_FRANCISCO, None),
    ],
    ids=["an ancestor's rule", "its own rule", "none"],
)
def test_failure_is_the_first_from_the_root(fields: dict[str, Any], failure: tuple[str, Failure] | None) -> None:
    """For a territory that is not linked, the first leaf that failed and what the record has (A10)."""
    linker = Linker(model_of())
    assert linker.telling("account").failure("bay", linker.fields_of("account", fields)) == failure


def test_near_misses_fail_by_one_leaf() -> None:
    """Deepest first; a parent's failing leaf counts for all below, two failing leaves are too many (A10)."""
    linker = Linker(model_of())
    near = linker.telling("account").near_misses(linker.fields_of("account", {"country": "US"}), 9)
    assert [(miss.territory_id, str(miss.failure)) for miss in near] == [
        ("bay", "city eq San Francisco: the record's value is missing"),
        ("large", "revenue ge 1000000: the record's value is missing"),
    ]
    assert linker.telling("account").near_misses(linker.fields_of("account", {"country": "US"}), 1) == near[:1]
    nowhere = linker.telling("account").near_misses(linker.fields_of("account", {"city": "San Francisco"}), 9)
    assert [(miss.territory_id, miss.failing_territory) for miss in nowhere] == [
        ("bay", "west"),
        ("large", "large"),
        ("west", "west"),
    ]
