"""Exchange rates: each holds from its period until the next one that is given (F10)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from decimal import Decimal

from territory.model.periods import by_time


class Rates:
    """The rates to an organisation's currency, by currency and the period from which each holds."""

    def __init__(self, rates: Mapping[tuple[str, str], Decimal]) -> None:
        """Take the rates by currency and period; all periods are of one kind."""
        by_currency: dict[str, dict[str, Decimal]] = {}
        for currency, period in sorted(rates, key=lambda key: by_time(key[1])):
            by_currency.setdefault(currency, {})[period] = rates[currency, period]
        self._by_currency = {currency: (list(found), list(found.values())) for currency, found in by_currency.items()}

    def rate_of(self, currency: str, period: str) -> Decimal | None:
        """Return the rate that holds in a period; None: the first one is later, or there is none."""
        periods, rates = self._by_currency.get(currency, ([], []))
        index = bisect_right(periods, by_time(period), key=by_time)
        return rates[index - 1] if index else None

    def newest(self) -> dict[str, Decimal]:
        """Return the last rate of each currency."""
        return {currency: rates[-1] for currency, (_, rates) in self._by_currency.items()}

    def in_period(self, period: str) -> dict[str, Decimal]:
        """Return the rates that hold in a period, by currency."""
        found = {currency: self.rate_of(currency, period) for currency in self._by_currency}
        return {currency: rate for currency, rate in found.items() if rate is not None}

    def first_period_of(self, currency: str) -> str | None:
        """Return the period from which a currency has a rate."""
        periods, _ = self._by_currency.get(currency, ([], []))
        return periods[0] if periods else None
