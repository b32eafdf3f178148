from __future__ import annotations

import asyncio
from typing import Any

import pytest

from territory.wire.codec import encode
from territory_admin.errors import Refused
from territory_admin.models.apply import check_revision, messages_of
from territory_admin.models.topic import ModelLog
from territory_admin.planning import safeguard
from territory_admin.planning.handover import Share
from territory_admin.planning.model_comparison import Plan
from territory_admin.planning.plan import Planned
from territory_admin.planning.safeguard import NeedsConsent, require_consent
from tests.unit.territory_admin.models.test_apply import NOW, checked, sent

USERS = [{"id": f"u{number}", "name": f"User {number}", "role": "r"} for number in range(10)]
MODEL: dict[str, Any] = {
    "org": "acme",
    "fields": {"account": {"country": "text"}},
    "roles": [{"id": "r"}],
    "users": USERS,
    "territories": [{"id": "west", "users": ["u0"], "rules": {"account": {"field": "country", "eq": "US"}}}],
    "targets": [{"territory": "west", "period": "2017-Q1", "amount": "1"}],
}
RULES_CHANGED = {**MODEL, "territories": [{"id": "west", "users": ["u0"]}]}
NAMES_CHANGED = {
    **MODEL,
    "territories": [{**MODEL["territories"][0], "name": "The West"}],
    "targets": [],
    "users": [{**USERS[0], "name": "Ann"}, *USERS[1:]],
}


def log_of(*documents: dict[str, Any]) -> ModelLog:
    log, offset = ModelLog(), 0
    for document in documents:
        offset = sent(log, messages_of("acme", log, checked(document).pieces, NOW), offset)
    return log


class Plans:
    """Stands for the reading of records: counts how often it is asked, and answers with figures."""

    def __init__(self, moved: int, records: int, redecided: int | None = None) -> None:
        self.asked = 0
        self.redecided = Share(moved if redecided is None else redecided, records)
        self._figures = moved, records

    async def __call__(self, kafka: Any, log: ModelLog, model: Any, examples_max: int, report: Any) -> Planned:
        self.asked += 1
        moved, records = self._figures
        plan = Plan(records, {"account": moved}, (), (), (), (), (), (), {}, {})
        return Planned("acme", log.required("acme").activation.revision, None, plan)  # type: ignore[arg-type]  # not looked at


def require(log: ModelLog, document: dict[str, Any], plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    async def redecided(*_: Any) -> Share:
        return plans.redecided

    monkeypatch.setattr(safeguard, "plan_on", plans)
    monkeypatch.setattr(safeguard, "_redecided", redecided)
    asyncio.run(require_consent(None, log, checked(document), lambda *_: None))  # type: ignore[arg-type]  # not used


@pytest.mark.parametrize(
    ("log", "document"),
    [(log_of(), MODEL), (log_of(MODEL), MODEL), (log_of(MODEL), NAMES_CHANGED)],
    ids=["the first model", "the same model", "names and targets"],
)
def test_no_record_is_read_where_none_can_move(
    log: ModelLog, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first model, the same model, and changes of names and targets cost no reading of records."""
    plans = Plans(moved=9, records=9)
    require(log, document, plans, monkeypatch)
    assert plans.asked == 0


def test_a_tenth_of_the_records_may_move_and_not_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consent is needed for more than a tenth of the records; the refusal has the figures."""
    require(log_of(MODEL), RULES_CHANGED, Plans(moved=203, records=2_030), monkeypatch)
    with pytest.raises(NeedsConsent) as held:
        require(log_of(MODEL), RULES_CHANGED, Plans(moved=204, records=2_030), monkeypatch)
    assert (held.value.records, held.value.memberships) == (Share(204, 2_030), Share(0, 11))
    assert "204 of 2,030 records would be in other territories, 0 of 11 memberships" in str(held.value)
    assert "--yes" in str(held.value)


def test_records_are_planned_only_where_many_are_decided_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that move are among those decided differently: a tenth of these at most is a tenth of those at most.

    Where more are decided differently, for other reasons, those that move are counted and they alone matter.
    """
    few, others = Plans(moved=3, records=100, redecided=10), Plans(moved=10, records=100, redecided=100)
    require(log_of(MODEL), RULES_CHANGED, few, monkeypatch)
    require(log_of(MODEL), RULES_CHANGED, others, monkeypatch)
    assert (few.asked, others.asked) == (0, 1)


@pytest.mark.parametrize(
    "document",
    [{"org": "acme"}, {**MODEL, "users": USERS[:8], "territories": [{**MODEL["territories"][0]}]}],
    ids=["an empty model", "two people less"],
)
def test_memberships_need_consent_where_no_record_moves(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Consent is needed for more than a tenth of the memberships, too; then the plan is made to be shown."""
    plans = Plans(moved=0, records=0)
    with pytest.raises(NeedsConsent):
        require(log_of(MODEL), document, plans, monkeypatch)
    assert plans.asked == 1


def test_an_empty_tree_needs_consent_without_people_and_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """`org:` alone needs consent even where nobody is a member of anything and no record has come yet."""
    before = {"org": "acme", "territories": [{"id": "west"}]}
    with pytest.raises(NeedsConsent):
        require(log_of(before), {"org": "acme"}, Plans(0, 0), monkeypatch)


def test_only_the_expected_revision_is_replaced() -> None:
    """A revision that somebody else applied meanwhile is a refusal that names both; 0 expects no model."""
    log = log_of(MODEL, NAMES_CHANGED)
    check_revision(log, "acme", None)
    check_revision(log, "acme", 2)
    check_revision(log, "beta", 0)
    for org_id, expected, text in (
        ("acme", 1, "expected revision 1 of 'acme' to be active, but revision 2 is active"),
        ("acme", 0, "expected revision 0"),
        ("beta", 1, "expected revision 1 of 'beta' to be active, but it has no model"),
    ):
        with pytest.raises(Refused, match=text):
            check_revision(log, org_id, expected)


def test_a_refused_activation_is_not_the_active_revision() -> None:
    """The revision that counts is the one in effect, not a newer one that the services refused."""
    log = log_of(MODEL)
    *_, activation = messages_of("acme", log, checked(NAMES_CHANGED).pieces, NOW)
    log.take(99, activation.key.encode(), encode(activation.value))
    assert log.revision_of("acme") == 2
    check_revision(log, "acme", 1)
