"""Exact decimal arithmetic."""

from __future__ import annotations

import random
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import reduce

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from territory.errors import AmountOutOfRange
from territory.money import EXACT, ZERO, add, amount_of, percent_of, text_of, times
from tests.support.oracle import attainment_pct

amounts = st.decimals(-(10**30) + 1, 10**30 - 1, allow_nan=False, places=12)


@given(st.lists(amounts, max_size=20), st.randoms())
def test_a_sum_does_not_depend_on_the_order(summands: list[Decimal], shuffle: random.Random) -> None:
    """Sums are exact: any order, and any grouping into partial sums, gives the same (F10)."""
    shuffled = list(summands)
    shuffle.shuffle(shuffled)
    middle = len(shuffled) // 2
    halves = [reduce(add, half, ZERO) for half in (shuffled[:middle], shuffled[middle:])]
    assert reduce(add, summands, ZERO) == reduce(add, halves, ZERO)
    assert Fraction(reduce(add, summands, ZERO)) == sum(map(Fraction, summands))


@given(st.lists(amounts, min_size=1, max_size=20))
def test_subtraction_undoes_addition(summands: list[Decimal]) -> None:
    """A deal that leaves a sum removes its whole amount, to the last digit (F9)."""
    there = reduce(add, summands, ZERO)
    assert reduce(add, (amount.copy_negate() for amount in summands), there) == 0


@given(amounts, st.decimals(0, 1, places=12), st.decimals(0, 10**9, places=12))
def test_products_are_exact(amount: Decimal, probability: Decimal, rate: Decimal) -> None:
    """Conversion and weighting don't round (F1, F10)."""
    converted = times(times(amount, rate), probability)
    assert Fraction(converted) == Fraction(amount) * Fraction(rate) * Fraction(probability)


def test_the_global_decimal_context_is_ignored() -> None:
    """The precision that other code sets globally changes no sum (F10)."""
    with localcontext(prec=3):
        assert add(Decimal("1000000.01"), Decimal("0.02")) == Decimal("1000000.03")
        assert amount_of("12345678901234567890.123456789012") == Decimal("12345678901234567890.123456789012")


def test_ten_cents_ten_times() -> None:
    """Ten cents added ten times are exactly one, also if they came as a float (F10)."""
    tenth = amount_of(0.1)
    assert tenth is not None
    assert reduce(add, [tenth] * 10) == 1


def test_sums_beyond_the_precision_are_refused() -> None:
    """A sum that needs more digits than we keep raises instead of rounding (F10)."""
    with pytest.raises(AmountOutOfRange, match="120 digits"):
        add(Decimal(f"1e{EXACT.prec}"), Decimal("0.1"))
    with pytest.raises(AmountOutOfRange, match="120 digits"):
        times(Decimal("1." + "1" * 100), Decimal("1." + "1" * 100))


@given(amounts)
def test_amounts_survive_the_wire(amount: Decimal) -> None:
    """The text of an amount has plain digits and reads as the same amount (F10)."""
    text = text_of(amount)
    assert amount_of(text) == amount
    assert set(text) <= set("-0123456789.")
    assert not ("." in text and text.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1054.50", "1054.5"),
        ("1E+5", "100000"),
        ("100", "100"),
        ("0.000", "0"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("-0.50", "-0.5"),
        ("1E-12", "0.000000000001"),
    ],
)
def test_texts_of_amounts(amount: str, text: str) -> None:
    """Every amount has one text, without exponent, trailing zeros or negative zero."""
    assert text_of(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("raw", "amount"), [("12.50", Decimal("12.5")), (3, Decimal(3)), ("", None), (None, None), (True, None)]
)
def test_amounts_that_are_read(raw: object, amount: Decimal | None) -> None:
    """An amount is a number, or a text that reads as one (C6)."""
    assert amount_of(raw) == amount


@given(amounts, st.none() | st.decimals(0, 10**30, places=12))
@example(Decimal("2.005"), Decimal(1))
def test_per_cent_agrees_with_the_oracle(part: Decimal, whole: Decimal | None) -> None:
    """Attainment is won / target in per cent, two decimals, half to even; never a division by zero (F6)."""
    assert percent_of(part, whole) == attainment_pct(part, whole)


@pytest.mark.parametrize(
    ("part", "whole", "per_cent"),
    [
        ("1", "3", "33.33"),
        ("2", "3", "66.67"),
        ("0.00125", "1", "0.12"),  # half to even
        ("0.00135", "1", "0.14"),
        ("90000", "90000", "100.00"),
        ("-5", "100", "-5.00"),
        ("5", "0", None),
        ("5", None, None),
        ("999999999999999999999999999999", "0.000000000001", "99999999999999999999999999999900000000000000.00"),
    ],
)
def test_per_cent(part: str, whole: str | None, per_cent: str | None) -> None:
    """Without a target, or with 0, it is "no target", never a division (F6)."""
    assert percent_of(Decimal(part), None if whole is None else Decimal(whole)) == per_cent
