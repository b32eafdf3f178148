"""The commands of each question, and how replies are read."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from territory.model import document as documents
from territory_client import Explanation, Freshness, IndexBehind, IndexedRecord, ObjectType, Page, PartitionFreshness
from territory_client.questions import Questions

ASK = Questions("acme")
VISIBLE, EDITABLE, ADMINS = "visible:{acme:u7}:account", "editable:{acme:u7}:account", "admins:{acme}"
HELD = ["7", "u7", '["west","é"]', "4"]
RECORD = IndexedRecord(7, "u7", ("west", "é"), 4)


def test_the_check_is_one_round_trip_of_two_commands() -> None:
    """The user's set and the set of administrators (V1, contracts: Redis)."""
    question = ASK.may("read", "u7", "account", "A-1")
    assert question.commands == (("SISMEMBER", VISIBLE, "A-1"), ("SISMEMBER", ADMINS, "u7"))
    assert [question.read(replies) for replies in ([0, 0], [1, 0], [0, 1])] == [False, True, True]
    assert ASK.may("edit", "u7", "account", "A-1").commands[0] == ("SISMEMBER", EDITABLE, "A-1")


def test_a_page_is_filtered_in_its_order() -> None:
    """One command filters all ids, duplicates included; administrators see all; no ids, no command (V1)."""
    question = ASK.filtered("read", "u7", "account", ["A-3", "A-1", "A-3"])
    assert question.commands == (("SMISMEMBER", VISIBLE, "A-3", "A-1", "A-3"), ("SISMEMBER", ADMINS, "u7"))
    assert question.read([[1, 0, 1], 0]) == ["A-3", "A-3"]
    assert question.read([[0, 0, 0], 1]) == ["A-3", "A-1", "A-3"]
    nothing = ASK.filtered("read", "u7", "account", [])
    assert (nothing.commands, nothing.read([])) == ((), [])


@pytest.mark.parametrize("ids", [["A-1", "é"], [b"A-1", "é".encode()]])
def test_pages_follow_the_cursor(ids: list[Any]) -> None:
    """A cursor of 0 ends the pages; an administrator's page has `everything` set (V1)."""
    question = ASK.page("edit", "u7", "account", 5, 100)
    assert question.commands == (("SSCAN", EDITABLE, 5, "COUNT", 100), ("SISMEMBER", ADMINS, "u7"))
    assert question.read([(17, ids), 0]) == Page(("A-1", "é"), 17)
    assert question.read([(0, ids), 0]) == Page(("A-1", "é"), None)
    assert question.read([(17, ids), 1]) == Page((), None, everything=True)


def test_administrators_are_not_counted() -> None:
    """Their count is None, since they see every record (V1)."""
    question = ASK.size("read", "u7", "account")
    assert question.commands == (("SCARD", VISIBLE), ("SISMEMBER", ADMINS, "u7"))
    assert (question.read([3, 0]), question.read([0, 1])) == (3, None)


def test_viewers_among_given_users() -> None:
    """One command for each user, and one for the administrators (V1)."""
    question = ASK.viewers("read", "account", "A-1", ["u7", "root", "u8"])
    assert question.commands[:2] == (("SMISMEMBER", ADMINS, "u7", "root", "u8"), ("SISMEMBER", VISIBLE, "A-1"))
    assert len(question.commands) == 4
    assert question.read([[0, 1, 0], 1, 0, 0]) == ["u7", "root"]
    assert ASK.viewers("read", "account", "A-1", []).commands == ()
    assert ASK.viewers("read", "account", "A-1", []).read([]) == []


@pytest.mark.parametrize("fields", [HELD, [text.encode() for text in HELD]])
@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([0, 0, 0], Explanation(None, False, True, RECORD)),
        ([1, 0, 0], Explanation("read", False, True, RECORD)),
        ([1, 1, 0], Explanation("edit", False, True, RECORD)),
        ([0, 0, 1], Explanation("edit", True, True, RECORD)),
    ],
)
def test_the_highest_level_counts(replies: list[Any], expected: Explanation, fields: list[Any]) -> None:
    """The explanation has the highest level and the indexed record (V3, V9)."""
    question = ASK.explained("u7", "account", "A-1")
    assert question.commands[3][:2] == ("HMGET", "record:{acme:account:A-1}")
    assert question.read([*replies, fields]) == expected


def test_missing_owner_or_record_is_not_owned() -> None:
    """A record without an owner, or not in the index, is owned by nobody, not even a user with an empty id (V1, V9)."""
    assert ASK.explained("", "account", "A-1").read([0, 0, 0, ["7", "", "[]", "4"]]) == Explanation(
        None, False, False, IndexedRecord(7, None, (), 4)
    )
    assert ASK.explained("u7", "account", "A-1").read([0, 0, 0, [None] * 4]) == Explanation(None, False, False, None)


def test_an_index_that_is_older_is_refused() -> None:
    """Reading raises IndexBehind unless the index has the version or a later one (V8)."""
    question = ASK.as_new_as("account", "A-1", 7)
    assert question.commands == (("HGET", "record:{acme:account:A-1}", "version"),)
    question.read(["7"])
    question.read([b"10"])
    for reply, found in (("6", 6), (b"6", 6), (None, None)):
        with pytest.raises(IndexBehind) as caught:
            question.read([reply])
        assert (caught.value.at_least, caught.value.found) == (7, found)


PROGRESS = {
    "access-indexer:10:offset": "5",
    "access-indexer:10:model_revision": "3",
    "access-indexer:2:offset": "7",
    "forecast-aggregator:2:offset": "9",
    "forecast-aggregator:2:model_revision": "4",
    "another:field": "of another kind",
    "model_revision": "3",
}
PAIRS = [text for pair in PROGRESS.items() for text in pair]


@pytest.mark.parametrize(
    "reply", [PROGRESS, PAIRS, [text.encode() for text in PAIRS]], ids=["mapping", "texts", "bytes"]
)
def test_freshness(reply: Any) -> None:
    """In total and by partition of the access indexer, for every reply format of redis-py (V8)."""
    question = ASK.freshness()
    assert question.commands == (("HGETALL", "index:{acme}"),)
    expected = Freshness(3, {2: PartitionFreshness(7, None), 10: PartitionFreshness(5, 3)})
    assert question.read([reply]) == expected
    assert list(question.read([reply]).partitions) == [2, 10]


@pytest.mark.parametrize("reply", [{}, []])
def test_nothing_is_indexed_yet(reply: Any) -> None:
    """An organisation without an index has no revision and no partitions (V8)."""
    assert ASK.freshness().read([reply]) == Freshness(None, {})


def test_objects_match_the_language() -> None:
    """The client repeats the object names, since it must not import the model reader."""
    assert get_args(ObjectType) == get_args(documents.ObjectType)


@pytest.mark.parametrize("org_id", ["", "a:b", "a{", "a}", "a/b", "a b", "a" * 256])
def test_invalid_organisation_ids_are_refused(org_id: str) -> None:
    """No organisation id can address the keys of another organisation."""
    with pytest.raises(ValueError, match="expected an organisation's id"):
        Questions(org_id)


def test_unknown_objects_and_levels_are_refused() -> None:
    """They would read a set that is never written, which looks like "no access"."""
    wrong: Any = "accounts"
    for ask in (
        lambda: ASK.may("read", "u7", wrong, "A-1"),
        lambda: ASK.filtered("read", "u7", wrong, []),
        lambda: ASK.page("read", "u7", wrong, 0, 1),
        lambda: ASK.size("read", "u7", wrong),
        lambda: ASK.viewers("read", wrong, "A-1", ["u7"]),
        lambda: ASK.explained("u7", wrong, "A-1"),
        lambda: ASK.as_new_as(wrong, "A-1", 1),
    ):
        with pytest.raises(ValueError, match="found 'accounts', expected one of account, contact, deal, lead"):
            ask()
    with pytest.raises(ValueError, match="found 'write', expected one of read, edit"):
        ASK.may("write", "u7", "account", "A-1")  # type: ignore[arg-type]  # the point of the test
