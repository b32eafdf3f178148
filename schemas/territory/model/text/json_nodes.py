"""Reads JSON into nodes. Slower than the JSON parser, so it runs only to find the places of faults."""

from __future__ import annotations

import re
from json import JSONDecoder

from territory.model.text.nodes import Mapping, Node, Scalar, Sequence

_BLANKS = re.compile(r"[ \t\r\n]*")
_decode = JSONDecoder().raw_decode
_WORD = re.compile(r"[^\s,:\[\]{}\"]+")


def json_nodes(text: str) -> Node:
    """Return the root of a text that is JSON, as the JSON parser found before."""
    return _Reader(text).value()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line, self._line_start = 1, 0
        self._blanks()

    def value(self) -> Node:
        start, line, column = self._position, self._line, self._position - self._line_start + 1
        opening = self._text[start]
        if opening == "{":
            mapping = Mapping(line, column)
            self._step()
            while not self._ends("}"):
                key = self.value()
                self._step()  # the colon
                mapping.pairs.append((key, self.value()))
            return mapping
        if opening == "[":
            sequence = Sequence(line, column)
            self._step()
            while not self._ends("]"):
                sequence.items.append(self.value())
            return sequence
        if opening == '"':
            written, self._position = _decode(self._text, start)
        else:
            word = _WORD.match(self._text, start)
            written = word[0] if word is not None else ""
            self._position = start + len(written)
        node = Scalar(written, opening == '"', line, column, self._position - self._line_start + 1)
        self._blanks()
        return node

    def _step(self) -> None:
        self._position += 1
        self._blanks()

    def _ends(self, closing: str) -> bool:
        """Skip a comma, or the closing bracket; return whether it was the bracket."""
        found = self._text[self._position]
        if found == ",":
            self._step()
            return False
        if found == closing:
            self._step()
            return True
        return False

    def _blanks(self) -> None:
        blanks = _BLANKS.match(self._text, self._position)
        end = blanks.end() if blanks is not None else self._position
        breaks = self._text.count("\n", self._position, end)
        if breaks:
            self._line += breaks
            self._line_start = self._text.rfind("\n", self._position, end) + 1
        self._position = end
