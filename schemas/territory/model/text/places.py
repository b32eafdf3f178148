"""Finds the line and column of a path such as `territories[west].rules.account.all[0].eq`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from territory.model.text.nodes import MERGE, Mapping, Node, Scalar, Sequence


class Place(NamedTuple):
    """A line and a column, counted from 1."""

    line: int
    column: int


def places_of(root: Node, path: str, *, of_key: bool) -> list[Place]:
    """Return the places of a path; several where an id is repeated, and that of the nearest part around a missing one.

    Args:
        root: The root of the text.
        path: The path of a fault.
        of_key: Whether the key at the end of the path is looked for, not its value.
    """
    deepest: list[tuple[int, Place]] = [(len(path) + 1, Place(root.line, root.column))]
    for rest, key, node in _found(root, path):
        marked = key if of_key and key is not None and not rest else node
        deepest.append((len(rest), Place(marked.line, marked.column)))
    least = min(rest for rest, _ in deepest)
    return list(dict.fromkeys(place for rest, place in deepest if rest == least))


def path_of(root: Node, wanted: Node) -> str:
    """Return the path of a node, or of the value of a key; `model` for the root."""
    found = next(_paths(root, wanted, "", 0, set()), None)
    return found or "model"


MERGES_MAX = 8
"""How far merge keys within merged mappings are followed; they may go round in a circle."""

_Found = tuple[str, Node | None, Node]
"""What is left of the path, the key if there is one, and the node."""


def _found(node: Node, path: str) -> Iterator[_Found]:
    """Yield every part of the text that the path, or its beginning, leads to."""
    for key, inner, steps in _parts(node):
        for step in steps:
            if not path.startswith(step):
                continue
            rest = path[len(step) :]
            if not rest or rest[0] in ".[":
                yield rest, key, inner
                yield from _found(inner, rest)


def _parts(node: Node, merging: int = 0) -> Iterator[tuple[Node | None, Node, tuple[str, ...]]]:
    """Yield the parts of a node with the ways in which a path names them."""
    if isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            name = _id_of(item)
            yield None, item, (f"[{index}]",) if name is None else (f"[{name}]", f"[{index}]")
    elif isinstance(node, Mapping):
        for key, inner in node.pairs:
            if not isinstance(key, Scalar) or not key.text:
                continue
            if key.text == MERGE and not key.quoted:
                for merged in inner.items if isinstance(inner, Sequence) else [inner]:
                    if merging < MERGES_MAX:
                        yield from _parts(merged, merging + 1)
            else:
                yield key, inner, (f".{key.text}", f"[{key.text}]", key.text)


def _id_of(node: Node) -> str | None:
    if not isinstance(node, Mapping):
        return None
    return next(
        (
            inner.text
            for key, inner in node.pairs
            if isinstance(key, Scalar) and key.text == "id" and isinstance(inner, Scalar)
        ),
        None,
    )


_KEYED = ("fields", "stages", "tables")
"""Sections whose keys are names, which paths write in brackets."""


def _paths(node: Node, wanted: Node, path: str, depth: int, seen: set[int]) -> Iterator[str]:
    if node is wanted:
        yield path
    if id(node) in seen:
        return  # an alias
    seen.add(id(node))
    if isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            name = _id_of(item) if depth == 1 else None
            yield from _paths(item, wanted, f"{path}[{index if name is None else name}]", depth + 1, seen)
    elif isinstance(node, Mapping):
        for key, inner in node.pairs:
            name = key.text if isinstance(key, Scalar) else "?"
            in_brackets = path in _KEYED or (depth == 2 and path.startswith("fields["))
            below = f"{path}[{name}]" if in_brackets else f"{path}.{name}".lstrip(".")
            if key is wanted:
                yield below
            yield from _paths(inner, wanted, below, depth + 1, seen)
