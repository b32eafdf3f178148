from __future__ import annotations

from territory.errors import Fault
from territory_admin.models.refusal import Refusal
from territory_admin.queries.unreadable import UnreadableValue
from territory_admin.records.link import Linked
from territory_admin.records.publish import Published, RefusedLine
from territory_admin.records.wait import Behind, Waited
from territory_control.views.records import linked, published, waited
from tests.unit.territory_control.views.rendering import rendered


def test_refused_lines_are_listed() -> None:
    """Each refused line has its number, code and reason; of very many the first are listed."""
    done = Published(8, 1_001, (RefusedLine(3, "not_json", "found [x]"),), 0.25, {})
    assert rendered(published(done)).splitlines() == [
        "8 published, 1,001 refused, in 0.2 s",
        "  line 3: not_json: found [x]",
        "  … 1,000 more; --json lists up to 1,000",
    ]
    flood = Published(0, 1_000, tuple(RefusedLine(number, "not_json", "x") for number in range(1_000)), 0.25)
    assert len(rendered(published(flood)).splitlines()) == 22


def test_records_that_nobody_will_see_are_mentioned() -> None:
    """Another organisation, one without a model, and unknown owners are said, in the plural where there are many."""
    done = Published(3, 0, (), 0.25, {"beta": 1}, ("beta",), {"acme/zoe": 2, "acme/kim": 1})
    assert rendered(published(done)).splitlines()[1:] == [
        "  1 record of beta, another organisation than TERRITORY_ORG_ID",
        "  beta has no model yet: its records wait for one",
        "  3 records with an owner who is neither a user nor a group of the model: acme/zoe, acme/kim",
    ]


def test_values_that_cannot_be_read_are_mentioned() -> None:
    """How many changes carry them is said, and the examples with record, field, found and expected (C6)."""
    example = UnreadableValue("acme/account/A", "vip", '"on"', "a boolean")
    done = Published(3, 0, (), 0.25, unreadable=2, unreadable_examples=(example,))
    assert rendered(published(done)).splitlines()[1:] == [
        "  2 changes with values that the model can't read, among them:",
        '    acme/account/A vip: found "on", expected a boolean',
    ]


def test_stages_that_are_behind_are_listed() -> None:
    """After a timeout the text names the stages that are behind, and those that nobody runs."""
    behind = Behind("assigner-intake", "crm.records.v1", 2, 5, unswept=False)
    text = rendered(waited(Waited(False, 9.9, (behind,), ("assigner-intake",)), None))
    assert text.splitlines() == [
        "not everything is in Redis after 10 s; these stages are behind:",
        f"  {behind}",
        "  no service is running for assigner-intake: start it",
    ]


def test_a_refused_model_is_reported_after_a_successful_wait() -> None:
    """Everything may be in Redis under the model before: then the refusal and its faults are named."""
    refused = Refusal(5, (Fault("territories[t].rules.account", "found x, expected y"),))
    assert rendered(waited(Waited(True, 1.0, (), ()), refused)).splitlines() == [
        "everything is in Redis, after 1.0 s",
        "revision 5 was refused; the model before it stays in effect:",
        "  territories[t].rules.account: found x, expected y",
    ]


def test_a_manual_link_is_confirmed() -> None:
    """The text has the record, the territory and the kind of decision (A4)."""
    texts = [rendered(linked(Linked("account/A", "west", kind, 1))) for kind in ("assign", "exclude", "none")]
    assert [text.partition(";")[0] for text in texts] == [
        "account/A is pinned to west",
        "account/A is kept out of west",
        "account/A is neither pinned to west nor kept out of it",
    ]
