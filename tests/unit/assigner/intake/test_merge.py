"""Merge patches: members of objects merge, null removes one, anything else replaces (C12)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assigner.intake.merge import merge_patch
from tests.support.oracle_records import _merge_patch

NAMES = st.sampled_from("abc")
VALUES = st.recursive(
    st.none() | st.integers(0, 2) | st.lists(st.integers(0, 1), max_size=2),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 5}, {"a": {"b": {"c": 1, "d": None}}}, {"a": {"b": {"c": 1}}}),
        ({"place": {"lat": 1, "lon": 2}}, {"place": {"lat": None}}, {"place": {"lon": 2}}),
    ],
)
def test_examples_of_the_standard(target: dict[str, Any], patch: dict[str, Any], merged: dict[str, Any]) -> None:
    """The test cases of RFC 7396, appendix A, whose document and patch are objects, and some of ours (C12)."""
    assert merge_patch(target, patch) == merged


@given(st.dictionaries(NAMES, VALUES, max_size=3), st.dictionaries(NAMES, VALUES, max_size=3))
def test_agrees_with_the_oracle(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """Any patch of any object, three levels deep and more, is what the oracle says (C12)."""
    assert merge_patch(target, patch) == _merge_patch(target, patch)
