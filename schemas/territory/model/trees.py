"""Forests of territories and of roles: several roots are allowed, cycles are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def cycles_of(parents: Mapping[str, str | None]) -> list[tuple[str, ...]]:
    """Return each cycle once, starting with its smallest id. A path ends at an unknown parent."""
    settled: set[str] = set()
    found: list[tuple[str, ...]] = []
    for start in sorted(parents):
        path: list[str] = []
        on_path: dict[str, int] = {}
        node: str | None = start
        while node is not None and node in parents and node not in settled:
            if node in on_path:
                cycle = path[on_path[node] :]
                least = cycle.index(min(cycle))
                found.append(tuple(cycle[least:] + cycle[:least]))
                break
            on_path[node] = len(path)
            path.append(node)
            node = parents[node]
        settled.update(path)
    return found


def first_below(parents: Mapping[str, str | None], levels: int) -> list[str]:
    """Return the nodes on the first level below the allowed ones, sorted. Nodes in cycles have no level."""
    children: dict[str | None, list[str]] = {}
    for node, parent in parents.items():
        children.setdefault(parent, []).append(node)
    layer = children.get(None, [])
    for _ in range(levels):
        layer = [child for node in layer for child in children.get(node, ())]
    return sorted(layer)


class Tree:
    """A forest built from each node's parent, with every path to a root precomputed.

    Raises: ValueError for an unknown parent or a cycle. Validation of models rules out both.
    """

    __slots__ = ("_children", "_order", "_parents", "_paths")

    def __init__(self, parents: Mapping[str, str | None]) -> None:
        cycles = cycles_of(parents)
        if cycles:
            raise ValueError(f"the tree has a cycle: {' -> '.join(cycles[0])}")
        self._parents = dict(parents)
        self._children: dict[str | None, list[str]] = {}
        for node, parent in self._parents.items():
            if parent is not None and parent not in self._parents:
                raise ValueError(f"{node!r} has the unknown parent {parent!r}")
            self._children.setdefault(parent, []).append(node)
        self._paths: dict[str, tuple[str, ...]] = {}
        self._order: list[str] = []
        waiting = list(reversed(self._children.get(None, [])))
        while waiting:
            node = waiting.pop()
            parent = self._parents[node]
            self._paths[node] = (node,) if parent is None else (node, *self._paths[parent])
            self._order.append(node)
            waiting.extend(reversed(self._children.get(node, [])))

    def __contains__(self, node: object) -> bool:
        return node in self._parents

    def __iter__(self) -> Iterator[str]:
        """Iterate over all nodes, every parent before its children."""
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._parents)

    def parent_of(self, node: str) -> str | None:
        """Return a node's parent, None for a root."""
        return self._parents[node]

    def path_of(self, node: str) -> tuple[str, ...]:
        """Return the node and its ancestors, nearest first."""
        return self._paths[node]

    def ancestors_of(self, node: str) -> tuple[str, ...]:
        """Return the ancestors of a node, nearest first."""
        return self._paths[node][1:]

    def depth_of(self, node: str) -> int:
        """Return the number of ancestors of a node; 0 for a root."""
        return len(self._paths[node]) - 1

    def with_below(self, node: str) -> list[str]:
        """Return a node and all nodes below it, every parent before its children."""
        return [each for each in self._order if node in self._paths[each]]

    def children_of(self, node: str | None) -> tuple[str, ...]:
        """Return a node's children in the model's order; for None, the roots."""
        return tuple(self._children.get(node, ()))
