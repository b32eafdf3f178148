"""The rule language: parsing, type checking against declared fields, and evaluation (C1 to C8, C10).

A criteria tree is `all`, `any`, `not` over leaves `{field: NAME, OPERATOR: OPERAND}`. A negative operator
is the negation of its positive one, so it holds for a missing field; a comparison with an unreadable value
is unknown, and criteria take a record only where they are true (C2).
"""

from territory.criteria.lists import Lists
from territory.criteria.operators import OPERATORS, Operator
from territory.criteria.parsing import NESTING_MAX, parse
from territory.criteria.tree import All, AnyOf, Criterion, Failure, Fields, Leaf, Not, Test, leaves_of

__all__ = [
    "NESTING_MAX",
    "OPERATORS",
    "All",
    "AnyOf",
    "Criterion",
    "Failure",
    "Fields",
    "Leaf",
    "Lists",
    "Not",
    "Operator",
    "Test",
    "leaves_of",
    "parse",
]
