"""Postal codes among texts: `1012 AB` is `1012ab`, and `94103-1234` is in `94103` (C10).

All texts here are folded (`values.folded`). A text looks like a postal code if it has a digit, 2 to 12 letters and
digits, and hyphens or blanks between groups of them; every group behind the first has a digit or is two letters.
"""

from __future__ import annotations

import re

_CODE = re.compile(r"(?=.*[0-9])[a-z0-9]+(?:(?:-| +)(?:[a-z]{2}|[a-z]*[0-9][a-z0-9]*))*")
_GROUPS = re.compile("[- ]")
CODE_CHARACTERS_MIN, CODE_CHARACTERS_MAX = 2, 12
PART_CHARACTERS_MIN = 3
"""A shorter first group, such as the country of `D-10115`, is no code of its own."""


def is_code(text: str) -> bool:
    """Whether a text looks like a postal code."""
    if _CODE.fullmatch(text) is None:
        return False
    return CODE_CHARACTERS_MIN <= sum(map(len, _GROUPS.split(text))) <= CODE_CHARACTERS_MAX


def without_blanks(text: str) -> str:
    """Return a text without any blanks."""
    return "".join(text.split())


def first_of_length(code: str, length: int) -> str | None:
    """Return the first characters of a code, blanks not counted.

    None unless the code ends there, or goes on with a hyphen or a blank.
    """
    if code.isalnum():  # most codes
        return code if len(code) == length else None
    found = ""
    for character in code:
        if len(found) == length:
            return found if character == "-" or character.isspace() else None
        if not character.isspace():
            found += character
    return found if len(found) == length else None


def table_key(entry: str) -> str:
    """Return the form in which an entry of a table is compared: a code without blanks, any other text as it is."""
    return without_blanks(entry) if is_code(entry) else entry


def table_keys(value: str) -> tuple[str, ...]:
    """Return the entries, in the form of `table_key`, that a value equals: of a code also its first group."""
    if value.isalnum() or not is_code(value):
        return (value,)
    whole, first = without_blanks(value), _GROUPS.split(value, maxsplit=1)[0]
    is_part = len(first) >= PART_CHARACTERS_MIN and any("0" <= character <= "9" for character in first)
    return (whole, first) if is_part else (whole,)
