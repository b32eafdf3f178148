"""Deals that name contacts of other families: what is asked for, answered, kept, and decided (A6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from assigner.assignment.stage import AssignmentFold
from assigner.intake.merge import INTAKE_PARTITION
from assigner.intake.places import expired_message, place_message
from territory.model.compiled import Model
from territory.stage import NO_MESSAGE, Effects, InputMessage, Message
from territory.wire.events import Assignment, Record, Subscription
from territory.wire.keys import copy_key, subscription_key
from territory.wire.topics import ASSIGNMENTS, FAMILIES, SUBSCRIPTIONS
from tests.unit.assigner.examples import SAN_FRANCISCO, TREE, emitted, key_of, model_of, record

MODEL = model_of()
HERE = 2
"""The partition of the fold under test."""
LIMIT = 10
ACCOUNT = record("account/A-1", fields={"revenue": 2000000})
OTHER = record("account/A-2", fields={"country": "US"})
CONTACT = record("contact/C-2", account_id="A-2")
DEAL = record("deal/D-1", account_id="A-1", contact_id="C-2")


def blank(key: str) -> Record:
    """Return a record that is not known."""
    return record(key, 0, deleted=True)


def messages(offset: int, records: Iterable[Record]) -> list[InputMessage]:
    return [InputMessage(FAMILIES.name, each.key, each, {}, offset=offset + i) for i, each in enumerate(records)]


def copy_of(offset: int, each: Record) -> InputMessage:
    return InputMessage(SUBSCRIPTIONS.name, copy_key(each.key), each, {}, offset=offset)


def end_of_copy(offset: int, key: str) -> InputMessage:
    return InputMessage(SUBSCRIPTIONS.name, copy_key(key_of(key)), None, {}, offset=offset)


def subscription(key: str, subscriber: int, *, begins: bool = True) -> InputMessage:
    object_type, record_id = key.split("/")
    event = Subscription("acme", object_type, record_id, subscriber) if begins else None  # type: ignore[arg-type]  # one of two
    return InputMessage(SUBSCRIPTIONS.name, subscription_key(key_of(key), subscriber), event, {})


def place(contact: Record) -> InputMessage:
    sent = place_message(contact)
    return InputMessage(sent.topic, sent.key, sent.value, {})


def gone(key: str) -> InputMessage:
    return InputMessage(FAMILIES.name, key_of(key), None, {INTAKE_PARTITION: "0"})


def applied(fold: AssignmentFold, *taken: InputMessage, model: Model | None = MODEL) -> Effects:
    effects = Effects()
    for each in taken:
        fold.apply(each, {} if model is None else {"acme": model}, effects)
    return effects


def proceeded(fold: AssignmentFold, model: Model = MODEL) -> Effects:
    effects = Effects()
    fold.proceed({"acme": model}, effects, LIMIT)
    return effects


def held(fold: AssignmentFold) -> Mapping[str, int] | None:
    """Return the offsets that are held back."""
    return fold.unfinished_from


def exchanged(effects: Effects) -> list[tuple[str, object, str | int]]:
    """Return the messages about subscriptions: key without the organisation, what it carries, and its route."""
    return [
        (sent.key.removeprefix("acme/"), _carried(sent), sent.route)
        for sent in effects.messages
        if sent.topic == SUBSCRIPTIONS.name
    ]


def _carried(sent: Message) -> object:
    if isinstance(sent.value, Record):
        return "unknown" if sent.value.deleted else (sent.value.version, sent.value.account_id)
    return None if sent.value is None else "subscribes"


def fold_of(*records: Record) -> AssignmentFold:
    fold = AssignmentFold(partition=HERE)
    applied(fold, *messages(0, records))
    return fold


def with_copies() -> AssignmentFold:
    """Return a fold whose deal follows a contact and an account of other partitions."""
    fold = fold_of(ACCOUNT, DEAL)
    applied(fold, copy_of(0, CONTACT), copy_of(1, OTHER))
    proceeded(fold)
    assert held(fold) is None
    return fold


# --- the subscriber ---------------------------------------------------------------------------


def test_records_without_a_foreign_contact_cost_nothing_more() -> None:
    """Accounts, contacts, leads, and deals whose contact is in their family or none, send assignments alone (A6)."""
    own = record("contact/C-1", account_id="A-1")
    deals = [record("deal/D-1", account_id="A-1", contact_id="C-1"), record("deal/D-2", account_id="A-1")]
    without = [record("contact/C-3"), record("deal/D-3", contact_id="C-3"), record("deal/D-4"), record("lead/L-1")]
    fold = AssignmentFold(partition=HERE)
    effects = applied(fold, *messages(0, [ACCOUNT, own, *deals, *without]))
    assert {sent.topic for sent in effects.messages} == {ASSIGNMENTS.name}
    assert len(effects.messages) == 8
    assert exchanged(applied(fold, gone("deal/D-1"))) == []


def test_deal_subscribes_to_its_contact_and_then_to_the_contacts_account() -> None:
    """Each is asked for once, by its own key, however many deals need it (A6)."""
    fold = fold_of(ACCOUNT)
    more = [record(f"deal/D-{number}", account_id="A-1", contact_id="C-2") for number in range(5)]
    asked = applied(fold, *messages(1, more))
    assert exchanged(asked) == [(f"subscribed/{HERE}/contact/C-2", "subscribes", key_of("contact/C-2"))]
    asked = applied(fold, copy_of(0, CONTACT))
    assert exchanged(asked) == [(f"subscribed/{HERE}/account/A-2", "subscribes", key_of("account/A-2"))]
    assert exchanged(applied(fold, copy_of(1, OTHER))) == []


def test_deal_takes_the_territories_of_a_contact_in_another_family() -> None:
    """A deal's candidates are its contact's territories, whichever account the contact belongs to (A6, A10)."""
    fold = fold_of(ACCOUNT, DEAL)
    applied(fold, copy_of(7, CONTACT))
    assert held(fold) is None  # without its account the contact has no territories
    waiting = applied(fold, copy_of(8, OTHER))
    assert emitted(waiting) == {}
    assert held(fold) == {SUBSCRIPTIONS.name: 8}
    effects = proceeded(fold)
    assert emitted(effects) == {"deal/D-1": ("west",)}
    [sent] = effects.messages
    assert isinstance(sent.value, Assignment)
    assert sent.value.links[0].why == ("inherited from contact C-2, of account A-2",)
    assert (sent.value.event_id, sent.value.since_ms) == ("account/A-2@1", 1_000)
    assert held(fold) is None


def test_deal_without_an_account_takes_its_contacts_territories() -> None:
    """A deal may name a contact and no account (A6)."""
    fold = fold_of(record("deal/D-1", contact_id="C-2"))
    applied(fold, copy_of(0, CONTACT), copy_of(1, OTHER))
    assert emitted(proceeded(fold)) == {"deal/D-1": ("west",)}


def test_contact_that_leaves_its_territories_leaves_the_deal_to_its_account() -> None:
    """A contact that is deleted, unknown, or without territories decides nothing (A6)."""
    lost = record("account/A-2", 2, fields={"country": "FR"})
    for change in (record("contact/C-2", 2, deleted=True), blank("contact/C-2"), lost, blank("account/A-2")):
        fold = with_copies()
        applied(fold, copy_of(9, change))
        assert emitted(proceeded(fold)) == {"deal/D-1": ("large",)}


def test_contact_that_joins_the_family_ends_the_subscription_and_one_that_leaves_begins_it() -> None:
    """A member counts, not the copy; the account that only the copy needed is not followed any more (A6, A8)."""
    fold = with_copies()
    joined = applied(fold, *messages(5, [record("contact/C-2", 2, account_id="A-1")]))
    assert emitted(joined) == {"contact/C-2": ("large",), "deal/D-1": ("large",)}
    ended = {f"subscribed/{HERE}/contact/C-2": None, f"subscribed/{HERE}/account/A-2": None}
    assert {key: carried for key, carried, _ in exchanged(joined)} == ended
    left = applied(fold, gone("contact/C-2"))
    assert {key: carried for key, carried, _ in exchanged(left)} == dict.fromkeys(ended, "subscribes")
    assert emitted(left) == {"contact/C-2": None, "deal/D-1": ("west",)}  # by the copy, until a newer one comes


@pytest.mark.parametrize("size", [10, 100])
def test_contact_that_leaves_a_family_is_subscribed_to_for_its_deals(size: int) -> None:
    """In small and large families alike (A6, A8)."""
    deals = [record(f"deal/D-{number}", account_id="A-1", contact_id=f"C-{number % 2}") for number in range(size)]
    contacts = [record(f"contact/C-{number}", account_id="A-1") for number in range(2)]
    fold = fold_of(ACCOUNT, *contacts, *deals)
    assert exchanged(applied(fold, gone("contact/C-1"))) == [
        (f"subscribed/{HERE}/contact/C-1", "subscribes", key_of("contact/C-1"))
    ]


def test_deal_that_is_gone_or_names_another_contact_ends_the_subscriptions() -> None:
    """The last deal ends them (A6)."""
    for change in (gone("deal/D-1"), *messages(5, [record("deal/D-1", 2, account_id="A-1")])):
        fold = with_copies()
        ended = [(key, carried) for key, carried, _ in exchanged(applied(fold, change))]
        assert ended == [(f"subscribed/{HERE}/contact/C-2", None), (f"subscribed/{HERE}/account/A-2", None)]


def test_contact_of_another_account_is_followed_there() -> None:
    """A copy that names another account subscribes to that one, and ends what nobody needs (A6, A8)."""
    fold = with_copies()
    moved = applied(fold, copy_of(9, record("contact/C-2", 2, account_id="A-3")))
    assert {(key, carried) for key, carried, _ in exchanged(moved)} == {
        (f"subscribed/{HERE}/account/A-2", None),
        (f"subscribed/{HERE}/account/A-3", "subscribes"),
    }


def test_copies_that_nobody_needs_and_ends_of_those_that_are_needed_are_answered() -> None:
    """A predecessor that crashed may have sent other subscriptions than its successor (A9)."""
    fold = fold_of(ACCOUNT)
    assert exchanged(applied(fold, copy_of(0, CONTACT))) == [
        (f"subscribed/{HERE}/contact/C-2", None, key_of("contact/C-2"))
    ]
    fold = with_copies()
    again = applied(fold, end_of_copy(9, "account/A-2"))
    assert exchanged(again) == [(f"subscribed/{HERE}/account/A-2", "subscribes", key_of("account/A-2"))]


def test_changes_that_change_no_candidate_reach_no_deal() -> None:
    """A new phone number of a contact or its account makes no deal due (A8)."""
    fold = with_copies()
    applied(fold, copy_of(8, record("contact/C-2", 2, account_id="A-2")))
    applied(fold, copy_of(9, record("account/A-2", 2, fields={"country": "CA", "phone": "1"})))
    assert held(fold) is None


def test_deal_is_emitted_where_a_contact_went_and_came_back_meanwhile() -> None:
    """A crashed worker may have emitted the state in between, and nobody knows (A9)."""
    fold = with_copies()
    applied(fold, copy_of(8, record("account/A-2", 2, fields={"country": "FR"})))
    applied(fold, copy_of(9, record("account/A-2", 3, fields={"country": "US"})))
    assert held(fold) == {SUBSCRIPTIONS.name: 8}
    assert emitted(proceeded(fold)) == {"deal/D-1": ("west",)}


# --- many deals -------------------------------------------------------------------------------


@pytest.mark.parametrize("families", [10_000, 1], ids=["of many accounts", "of one account"])
def test_ten_thousand_deals_that_name_one_contact(families: int) -> None:
    """They are decided in bounded steps, and the offset is held until the last is emitted (A6, A8)."""
    count = 10_000
    deals = [
        record(f"deal/D-{number}", account_id=f"A-{number % families}", contact_id="C-2") for number in range(count)
    ]
    fold = AssignmentFold(partition=HERE)
    asked = applied(fold, *messages(0, deals))
    assert len(exchanged(asked)) == 1
    applied(fold, copy_of(1, CONTACT))
    effects = applied(fold, copy_of(2, OTHER))
    assert effects.messages == []
    found: dict[str, object] = {}
    while held(fold) is not None:
        assert held(fold) == {SUBSCRIPTIONS.name: 2}
        step = proceeded(fold)
        assert len(step.messages) <= LIMIT
        found |= emitted(step)
    assert found == {f"deal/D-{number}": ("west",) for number in range(count)}


def test_fan_outs_of_families_and_of_copies_take_turns() -> None:
    """Neither waits for the end of the other (A8)."""
    many = [record(f"deal/D-{number}", account_id="A-1") for number in range(200)]
    few = [record(f"deal/E-{number}", contact_id="C-2") for number in range(200)]
    fold = fold_of(ACCOUNT, *many, *few)
    applied(fold, copy_of(1, CONTACT), copy_of(2, OTHER))
    applied(fold, *messages(500, [record("account/A-1", 2, fields=SAN_FRANCISCO)]))
    assert held(fold) == {FAMILIES.name: 500, SUBSCRIPTIONS.name: 2}
    kinds = {sent.key.split("/")[2][0] for sent in proceeded(fold).messages}
    assert kinds == {"D", "E"}
    total = 0
    while held(fold) is not None:
        step = proceeded(fold)
        assert len(step.messages) <= LIMIT + 2
        total += len(step.messages)
    assert total >= 400 - LIMIT - 2


# --- models -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [0, 50], ids=["large", "small"])
def test_sweep_decides_deals_whose_foreign_contact_a_model_moves(bound: int) -> None:
    """A change of the model that only touches the contact's account, or its links, decides the deal again (A6, A8)."""
    fold = AssignmentFold(partition=HERE, followers_at_once_max=bound)
    applied(fold, *messages(0, [ACCOUNT, DEAL]), copy_of(0, CONTACT), copy_of(1, OTHER))
    while held(fold) is not None:
        proceeded(fold)
    west = {"id": "west", "parent": "world", "rules": {"account": {"field": "country", "eq": "CA"}}}
    canada = model_of(*(west if node["id"] == "west" else node for node in TREE), revision=2)
    whole = Effects()
    for effects in fold.sweep(canada, LIMIT):
        whole.add(effects)
    assert emitted(whole) == {"deal/D-1": ("large",)}


def test_family_that_a_model_does_not_concern_is_passed_over() -> None:
    """Neither a deal nor its contact elsewhere qualifies for a changed territory: nothing is decided (A8)."""
    fold = with_copies()
    nook = {"id": "nook", "parent": "world", "rules": {"account": {"field": "country", "eq": "FR"}}}
    whole = Effects()
    for effects in fold.sweep(model_of(*TREE, nook, revision=2), LIMIT):
        whole.add(effects)
    assert (whole.messages, whole.outcomes) == ([], {})


def test_copies_come_before_the_model() -> None:
    """Without a model nothing is assigned; the first one finds the copies (A9)."""
    fold = AssignmentFold(partition=HERE)
    asked = applied(fold, *messages(0, [ACCOUNT, DEAL]), copy_of(0, CONTACT), copy_of(1, OTHER), model=None)
    assert {key for key, _, _ in exchanged(asked)} == {
        f"subscribed/{HERE}/contact/C-2", f"subscribed/{HERE}/account/A-2",
    }  # fmt: skip
    whole = Effects()
    for effects in fold.sweep(MODEL, LIMIT):
        whole.add(effects)
    assert emitted(whole) == {"account/A-1": ("large",), "deal/D-1": ("west",)}


# --- restore ----------------------------------------------------------------------------------


def restored(*taken: InputMessage, unknown: frozenset[str] = frozenset()) -> AssignmentFold:
    fold = AssignmentFold(partition=HERE)
    for each in taken:
        fold.restore(each)
    fold.restored({"acme": MODEL}, unknown)
    return fold


def test_restored_deals_are_decided_from_the_restored_copies() -> None:
    """After a restart nothing is asked or emitted again, and a change finds what was emitted (A9)."""
    fold = restored(copy_of(0, CONTACT), copy_of(1, OTHER), *messages(0, [ACCOUNT, DEAL]))
    assert held(fold) is None
    applied(fold, copy_of(2, record("account/A-2", 2, fields={"country": "CA"})))
    assert held(fold) is None
    applied(fold, copy_of(3, record("account/A-2", 3, fields={"country": "FR"})))
    assert emitted(proceeded(fold)) == {"deal/D-1": ("large",)}


def test_restore_asks_for_what_was_never_answered_and_ends_what_is_not_needed() -> None:
    """So after an upgrade, the deals of the version before get their contacts by themselves (A6, A9)."""
    deals = [record(f"deal/D-{number}", contact_id=f"C-{number}") for number in range(25)]
    fold = restored(*messages(0, deals), copy_of(0, blank("contact/C-0")), copy_of(1, OTHER))
    sent: list[str] = []
    while held(fold) is not None:
        assert held(fold) == {SUBSCRIPTIONS.name: NO_MESSAGE}
        step = exchanged(proceeded(fold))
        assert len(step) <= LIMIT
        sent += [f"{key} {carried}" for key, carried, _ in step]
    wanted = {f"subscribed/{HERE}/contact/C-{number} subscribes" for number in range(1, 25)}
    assert set(sent) == wanted | {f"subscribed/{HERE}/account/A-2 None"}


# --- the publisher ----------------------------------------------------------------------------


def test_subscription_is_answered_with_the_record_as_it_is() -> None:
    """With the contact's place, with the account of the family, or with what says that it is not known (A6)."""
    fold = fold_of(OTHER)
    applied(fold, place(CONTACT))
    answered = applied(
        fold, subscription("contact/C-2", 5), subscription("account/A-2", 6), subscription("contact/C-9", 7)
    )
    assert exchanged(answered) == [
        ("copied/contact/C-2", (1, "A-2"), 5),
        ("copied/account/A-2", (1, None), 6),
        ("copied/contact/C-9", "unknown", 7),
    ]
    assert all(sent.value.since_ms == 0 for sent in answered.messages if isinstance(sent.value, Record))


def test_changes_are_sent_to_every_subscriber_once() -> None:
    """At each change, to the partitions and not to the deals (A6, A8)."""
    fold = fold_of(OTHER)
    applied(fold, *(subscription(key, number) for key in ("contact/C-2", "account/A-2") for number in (1, 4, 4)))
    for change, sent in (
        (place(CONTACT), ("copied/contact/C-2", (1, "A-2"))),
        (place(record("contact/C-2", 2, account_id="A-3")), ("copied/contact/C-2", (2, "A-3"))),
        (place(record("contact/C-2", 3, deleted=True)), ("copied/contact/C-2", "unknown")),
        (messages(9, [record("account/A-2", 2)])[0], ("copied/account/A-2", (2, None))),
        (gone("account/A-2"), ("copied/account/A-2", "unknown")),
    ):
        assert exchanged(applied(fold, change)) == [(*sent, 1), (*sent, 4)]


def test_ended_subscription_is_answered_and_gets_no_more() -> None:
    """The answer tells the subscriber, whatever was sent before (A9)."""
    fold = fold_of(OTHER)
    applied(fold, subscription("account/A-2", 1), subscription("account/A-2", 4))
    assert exchanged(applied(fold, subscription("account/A-2", 1, begins=False))) == [("copied/account/A-2", None, 1)]
    changed = applied(fold, *messages(9, [record("account/A-2", 2)]))
    assert exchanged(changed) == [("copied/account/A-2", (2, None), 4)]


def test_older_place_of_a_contact_is_stale() -> None:
    """Where an upstream writes one contact to several partitions, its version counts (A9)."""
    fold = fold_of()
    applied(fold, place(record("contact/C-2", 3, account_id="A-2")), place(record("contact/C-2", 2, account_id="A-1")))
    assert exchanged(applied(fold, subscription("contact/C-2", 1))) == [("copied/contact/C-2", (3, "A-2"), 1)]
    sent = expired_message(key_of("contact/C-2"))
    applied(fold, InputMessage(sent.topic, sent.key, sent.value, {}), place(CONTACT))
    assert exchanged(applied(fold, subscription("contact/C-2", 4))) == [("copied/contact/C-2", (1, "A-2"), 4)]


def test_publisher_is_restored() -> None:
    """Places and subscriptions are on the log; a restart sends nothing again (A9)."""
    fold = restored(
        place(CONTACT), subscription("contact/C-2", 1), subscription("contact/C-2", 4),
        subscription("contact/C-2", 1, begins=False), *messages(0, [OTHER]), subscription("account/A-2", 5),
    )  # fmt: skip
    assert exchanged(applied(fold, *messages(9, [record("account/A-2", 2)]))) == [("copied/account/A-2", (2, None), 5)]
    moved = applied(fold, place(record("contact/C-2", 2, account_id="A-1")))
    assert exchanged(moved) == [("copied/contact/C-2", (2, "A-1"), 4)]


def test_nothing_crosses_from_one_organisation_to_another() -> None:
    """Contacts with the same id in two organisations are two contacts."""
    fold = AssignmentFold(partition=HERE)
    models = {"acme": MODEL, "beta": model_of(org="beta")}
    effects = Effects()
    for each in messages(0, [DEAL]):
        fold.apply(each, models, effects)
    theirs = InputMessage(SUBSCRIPTIONS.name, copy_key("beta/contact/C-2"), _of_beta(CONTACT), {}, offset=0)
    account = InputMessage(SUBSCRIPTIONS.name, copy_key("beta/account/A-2"), _of_beta(OTHER), {}, offset=1)
    fold.apply(theirs, models, effects)
    fold.apply(account, models, effects)
    assert held(fold) is None


def _of_beta(each: Record) -> Record:
    from msgspec.structs import replace  # noqa: PLC0415 -- used here alone

    return replace(each, org_id="beta", family=each.family.replace("acme", "beta"))


@pytest.mark.parametrize(
    "message",
    [
        InputMessage(SUBSCRIPTIONS.name, "acme/deal/D-1", record("deal/D-1"), {}),
        InputMessage(SUBSCRIPTIONS.name, "acme/contact/C-1", CONTACT, {}),
        InputMessage(SUBSCRIPTIONS.name, "acme/contact/C-2", Subscription("acme", "contact", "C-2", 1), {}),
        InputMessage(SUBSCRIPTIONS.name, "acme/copied/contact/C-1", CONTACT, {}),
        InputMessage(SUBSCRIPTIONS.name, "acme/copied/deal/D-1", DEAL, {}),
        InputMessage(SUBSCRIPTIONS.name, "acme/subscribed/x/contact/C-2", None, {}),
        InputMessage(SUBSCRIPTIONS.name, "acme/subscribed/8/contact/C-2", None, {}),
        InputMessage(SUBSCRIPTIONS.name, "acme/subscribed/1/contact/C-2", CONTACT, {}),
        InputMessage(
            SUBSCRIPTIONS.name, "acme/subscribed/1/contact/C-2", Subscription("acme", "contact", "C-2", 2), {}
        ),
        InputMessage(SUBSCRIPTIONS.name, "acme/subscribed/1", None, {}),
    ],
    ids=lambda message: message.key,
)
def test_messages_that_the_assigner_did_not_write_are_refused(message: InputMessage) -> None:
    """They become dead letters, and a restore leaves them out as well."""
    fold = AssignmentFold(partitions=8, partition=HERE)
    effects = applied(fold, message)
    assert [code for _, code, _ in effects.refused] == ["wrong_key"]
    assert effects.messages == []
    fold.restore(message)
    assert exchanged(applied(fold, subscription("contact/C-2", 1))) == [("copied/contact/C-2", "unknown", 1)]
