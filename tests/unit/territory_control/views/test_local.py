from __future__ import annotations

from territory_admin.queries.redis_reader import LeftOutDeal
from territory_control.local.stack import Addresses
from territory_control.views.local import addresses, left_out_deals
from tests.unit.territory_control.views.rendering import lines_of, rendered


def test_deals_are_counted_by_reason() -> None:
    """Details that differ from deal to deal are not listed."""
    deals = [
        LeftOutDeal("1", "unassigned", "it names no account"),
        LeftOutDeal("2", "unassigned", "it names no account"),
    ]
    deals += [LeftOutDeal(str(n), "no_amount", f"its amount {n} is not a number") for n in range(3, 6)]
    assert lines_of(left_out_deals(deals)) == ["3 no_amount", "2 unassigned it names no account"]


def test_a_stack_says_how_another_terminal_reaches_it() -> None:
    """The settings for other commands are printed to be copied, and `top`, which finds the workers by itself."""
    where = Addresses("127.0.0.1:1", "redis://127.0.0.1:2/0", {"assigner": "http://127.0.0.1:3"}, "folder")
    text = rendered(addresses(where))
    assert "export TERRITORY_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1 TERRITORY_REDIS_URL=redis://127.0.0.1:2/0" in text
    assert "\n  territory top\n" in f"{text}\n"
