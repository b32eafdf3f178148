"""Reads YAML into nodes, by its events: no tag is resolved and no object constructed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from territory.model.text.nodes import Mapping, Node, Scalar, Sequence, UnreadableText
from territory.wire.codec import MESSAGE_LEVELS_MAX

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml may be absent

_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = {f"{_TAG}{name}" for name in ("int", "float", "bool", "null", "timestamp")}
_HINTS = {
    "mapping values are not allowed": "write KEY: VALUE, put a text with ': ' in quotes, and indent with blanks alike",
    "cannot start any token": "put a text that begins with @, `, % or a tab in quotes, and indent with blanks",
    "tab character": "indent with blanks",
    "could not find expected ':'": "write KEY: VALUE, with a blank after the colon",
    "did not find expected ',' or": "close the bracket or brace, and put a text with , : [ ] { } in quotes",
    "did not find expected key": "indent keys of one mapping alike, and put a text with a quote in it in quotes",
    "did not find expected '-' indicator": "indent the items of one list alike",
    "did not find expected node content": "put a text that begins with a special character in quotes",
}


def yaml_nodes(text: str) -> Node:
    """Return the root of a YAML text; an empty scalar if there is nothing in it.

    Raises: UnreadableText at the first place that is not YAML, nests too deep or begins a second document.
    """
    try:
        return _Composer(text).root()
    except yaml.MarkedYAMLError as fault:
        problem = fault.problem or fault.context or "can't be read"
        hint = next((hint for words, hint in _HINTS.items() if words in problem), "")
        mark = fault.problem_mark or fault.context_mark
        begun = fault.context_mark
        if fault.context and begun is not None and mark is not None and begun.line < mark.line:
            problem += f" ({fault.context} from line {begun.line + 1})"
        message = f"neither YAML nor JSON: {problem}{hint and f'; {hint}'}"
        raise UnreadableText(message, *((mark.line + 1, mark.column + 1) if mark is not None else ())) from fault
    except yaml.YAMLError as fault:  # a character that YAML does not allow
        problem = f"{getattr(fault, 'reason', None) or fault}; remove the character, or save the file as UTF-8"
        # libyaml's own position counts bytes, not characters.
        odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
        where = _place_of(text, odd.start() if odd is not None else None)
        raise UnreadableText(f"neither YAML nor JSON: {problem}", *where) from fault
    except UnicodeEncodeError as fault:
        problem = "neither YAML nor JSON: found half of a surrogate pair; remove it"
        raise UnreadableText(problem, *_place_of(text, fault.start)) from fault


def _place_of(text: str, position: object) -> tuple[int | None, int | None]:
    if not isinstance(position, int):
        return None, None
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


class _Composer:
    """Puts events together into nodes; an alias is the node that it names."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
        self._anchors: dict[str, Node] = {}

    def root(self) -> Node:
        """Return the root of the only document."""
        root: Node = Scalar("", quoted=False, line=1, column=1, end=1)
        open_nodes: list[tuple[Sequence | Mapping, list[Node]]] = []
        """The containers that have not ended, with a key that waits for its value."""
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _at(event, "found a second document after ---, expected one; remove the rest")
            if isinstance(event, yaml.CollectionEndEvent):
                open_nodes.pop()
                continue
            node = self._node(event)
            if node is None:
                continue
            if open_nodes:
                _add(*open_nodes[-1], node)
            else:
                root = node
            if isinstance(event, yaml.CollectionStartEvent):
                if len(open_nodes) >= MESSAGE_LEVELS_MAX:  # libyaml's stack and ours stay small
                    raise _at(event, f"nested deeper than {MESSAGE_LEVELS_MAX} levels; flatten it")
                open_nodes.append((node, []))  # type: ignore[arg-type]  # a container
        return root

    def _node(self, event: Any) -> Node | None:
        """Return the node that an event begins; None for other events."""
        kind = type(event)
        if not issubclass(kind, yaml.NodeEvent):
            return None
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if kind is yaml.AliasEvent:
            unknown = f"unknown alias *{event.anchor}; put a text that begins with * in quotes"
            return self._anchors.get(event.anchor) or Scalar("", False, line, column, column, unknown)
        problem = _tag_problem(event)
        node: Node
        if kind is yaml.ScalarEvent:
            quoted = event.tag not in _SCALAR_TAGS and (bool(event.style) or event.tag not in (None, "?"))
            node = Scalar(event.value, quoted, line, column, event.end_mark.column + 1, problem)
        elif kind is yaml.SequenceStartEvent:
            node = Sequence(line, column, problem=problem)
        else:
            node = Mapping(line, column, problem=problem)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node


def _add(container: Sequence | Mapping, waiting: list[Node], node: Node) -> None:
    if isinstance(container, Sequence):
        container.items.append(node)
    elif waiting:
        container.pairs.append((waiting.pop(), node))
    else:
        waiting.append(node)


def _tag_problem(event: Any) -> str | None:
    fitting = {"!", None}
    if isinstance(event, yaml.ScalarEvent):
        fitting |= {*_SCALAR_TAGS, f"{_TAG}str"}
    else:
        fitting.add(f"{_TAG}seq" if isinstance(event, yaml.SequenceStartEvent) else f"{_TAG}map")
    if event.tag in fitting:
        return None
    return f"found the tag {event.tag.replace(_TAG, '!!')}, which does not fit; remove it"


def _at(event: Any, problem: str) -> UnreadableText:
    return UnreadableText(problem, event.start_mark.line + 1, event.start_mark.column + 1)
