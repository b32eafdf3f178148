"""Trees of territories and roles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.model.trees import Tree, cycles_of, first_below

NODES = [f"n{index}" for index in range(8)]

parents = st.dictionaries(st.sampled_from(NODES), st.none() | st.sampled_from([*NODES, "stranger"]))


@st.composite
def forests(draw: st.DrawFn) -> dict[str, str | None]:
    """Return parents without a cycle, in any order."""
    forest: dict[str, str | None] = {}
    for index, node in enumerate(NODES):
        forest[node] = draw(st.none() | st.sampled_from(NODES[:index])) if index else None
    return {node: forest[node] for node in draw(st.permutations(NODES))}


@given(parents)
def test_cycles(found: dict[str, str | None]) -> None:
    """A node is in exactly one cycle if its parents lead back to it, and otherwise in none."""
    cycles = cycles_of(found)
    for node, parent in found.items():
        above, steps = parent, 0
        while above is not None and above != node and steps < len(NODES):
            above, steps = found.get(above), steps + 1
        assert sum(node in cycle for cycle in cycles) == (above == node)
    for cycle in cycles:
        assert cycle[0] == min(cycle)
        assert all(found[node] == following for node, following in zip(cycle, cycle[1:] + cycle[:1], strict=True))


@given(parents)
def test_a_tree_or_an_error(found: dict[str, str | None]) -> None:
    """Parents make a tree exactly if all are known and no node is its own ancestor."""
    sound = not cycles_of(found) and all(parent is None or parent in found for parent in found.values())
    if sound:
        assert len(Tree(found)) == len(found)
    else:
        with pytest.raises(ValueError, match=r"cycle|unknown parent"):
            Tree(found)


@given(forests())
def test_paths(forest: dict[str, str | None]) -> None:
    """A path leads from a node to its root; depth is the number of ancestors."""
    tree = Tree(forest)
    for node, parent in forest.items():
        path = tree.path_of(node)
        assert path[0] == node
        assert path[1:] == (() if parent is None else tree.path_of(parent)) == tree.ancestors_of(node)
        assert tree.depth_of(node) == len(path) - 1
        assert tree.parent_of(node) == parent
        assert node not in tree.ancestors_of(node)


@given(forests())
def test_order(forest: dict[str, str | None]) -> None:
    """Every node comes once, after its parent; children keep the order of the model."""
    tree = Tree(forest)
    order = list(tree)
    assert sorted(order) == sorted(forest)
    assert all(parent is None or order.index(parent) < order.index(node) for node, parent in forest.items())
    for parent in [None, *forest]:
        assert tree.children_of(parent) == tuple(node for node in forest if forest[node] == parent)


@given(forests(), st.integers(1, 5))
def test_first_level_below_the_limit(forest: dict[str, str | None], levels: int) -> None:
    """`first_below` returns the nodes with exactly as many ancestors as there are allowed levels."""
    tree = Tree(forest)
    assert first_below(forest, levels) == sorted(node for node in forest if tree.depth_of(node) == levels)
    assert first_below({"a": "b", "b": "a", "c": "x"}, levels) == []


def test_edges() -> None:
    """A tree may be empty, have many roots or be a chain."""
    assert list(Tree({})) == []
    assert Tree({}).children_of(None) == ()
    assert Tree({"a": None, "b": None}).children_of(None) == ("a", "b")
    chain = Tree({str(index): str(index - 1) if index else None for index in range(2_000)})
    assert chain.depth_of("1999") == 1_999
    assert "2000" not in chain
    assert cycles_of({"a": "a"}) == [("a",)]
    with pytest.raises(ValueError, match="a -> b"):
        Tree({"b": "a", "a": "b", "c": "a"})
    with pytest.raises(ValueError, match="'x'"):
        Tree({"a": "x"})


@given(forests())
def test_with_below(forest: dict[str, str | None]) -> None:
    """What is below a node is the node and what is below its children, every parent before its children."""
    tree = Tree(forest)
    for node in tree:
        found = tree.with_below(node)
        below = [each for child in tree.children_of(node) for each in tree.with_below(child)]
        assert (found[0], found[1:]) == (node, below)
