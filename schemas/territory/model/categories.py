"""Names of forecast categories: the CRMs' own, ours, and those that a model adds (F1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from territory.criteria.values import folded
from territory.model.pieces import Category

Named = Category | Literal["closed"]
"""What a name means. `closed` is `won` for a deal in a won stage, and contradicts any other stage."""

CRM_NAMES: Mapping[str, Named] = {
    "omitted": "omitted",
    "pipeline": "pipeline",
    "bestcase": "best_case",
    "mostlikely": "best_case",
    "commit": "committed",
    "committed": "committed",
    "forecast": "committed",
    "closed": "closed",
    "won": "won",
}
"""By the form in which names are compared: `Best Case`, `BestCase` and `best_case` are one."""

_SEPARATORS = re.compile(r"[\s_-]+")


def comparable_name(name: str) -> str:
    """Return the form in which a category's name is compared: without case, white space, hyphens and underscores."""
    return _SEPARATORS.sub("", folded(name))


def category_names(added: Mapping[str, Category]) -> dict[str, Named]:
    """Return what all names mean, in the form in which they are compared; those of the model count first."""
    return {**CRM_NAMES, **{comparable_name(name): category for name, category in added.items()}}
