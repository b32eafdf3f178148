"""Exact decimal arithmetic for amounts (F10)."""

from __future__ import annotations

import decimal
from decimal import Decimal

from territory.criteria.values import number_of
from territory.errors import AmountOutOfRange

ZERO = Decimal(0)

# An amount has up to 30 digits before and 12 after the point (values.py). It is multiplied by a
# rate and a probability with 12 decimals each, and summed over deals: 120 digits never round.
EXACT = decimal.Context(prec=120, rounding=decimal.ROUND_HALF_EVEN, traps=[decimal.Inexact, decimal.InvalidOperation])


def amount_of(raw: object) -> Decimal | None:
    """Read a JSON value as an exact amount; None if it is not one."""
    number = number_of(raw)
    return None if number is None else Decimal(number)


def add(left: Decimal, right: Decimal) -> Decimal:
    """Return the exact sum. Raises: AmountOutOfRange.

    To subtract, add `amount.copy_negate()`: the operator `-amount` rounds to 28 digits.
    """
    try:
        return EXACT.add(left, right)
    except decimal.Inexact as inexact:
        raise AmountOutOfRange(f"the sum of {left} and {right} needs more than {EXACT.prec} digits") from inexact


def times(left: Decimal, right: Decimal) -> Decimal:
    """Return the exact product. Raises: AmountOutOfRange."""
    try:
        return EXACT.multiply(left, right)
    except decimal.Inexact as inexact:
        raise AmountOutOfRange(f"{left} times {right} needs more than {EXACT.prec} digits") from inexact


def text_of(amount: Decimal) -> str:
    """Format an amount for the wire: plain digits, no exponent, no trailing zeros."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def percent_of(part: Decimal, whole: Decimal | None) -> str | None:
    """Return part in per cent of whole with two decimals, half to even; None if whole is None or 0 (F6)."""
    return ratio_of(times(part, Decimal(100)), whole)


def ratio_of(part: Decimal, whole: Decimal | None) -> str | None:
    """Return part / whole with two decimals, half to even; None if whole is None or 0 (F6, F7)."""
    if whole is None or whole == 0:
        return None
    context = decimal.Context(prec=120, rounding=decimal.ROUND_HALF_EVEN)
    ratio = context.divide(part, whole)
    rounded = ratio.quantize(Decimal("0.01"), context=context)
    return format(rounded or rounded.copy_abs(), "f")  # never "-0.00"
