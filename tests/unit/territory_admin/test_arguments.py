from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.model.compiled import compile_model
from territory.model.document import OBJECTS
from territory.wire.keys import parse_record_key
from territory_admin.arguments import RecordName, check_owner, check_territory, check_user, near_matches, record_name
from territory_admin.errors import NotFound

NAMES = {"us-west": "United States, West", "us-east": "United States, East", "emea": "Europe"}

printable_ids = st.text(min_size=1, max_size=255).filter(lambda text: text.isprintable() and bool(text.strip()))


@given(st.sampled_from(OBJECTS), printable_ids)
def test_a_record_name_is_parsed(kind: str, record_id: str) -> None:
    """OBJECT/ID names a record, whatever characters its id has (contracts: command line)."""
    name = record_name(f"{kind}/{record_id}")
    assert str(name) == f"{kind}/{record_id}"
    assert parse_record_key(name.key("acme")) == ("acme", kind, record_id)


@pytest.mark.parametrize(
    "text", ["account", "account/", "account/ ", "/A-1", "", "order/1", "Account/A-1", "deal/a\nb"]
)
def test_another_text_is_no_record_name(text: str) -> None:
    """A text that is not OBJECT/ID is refused, and the error quotes it."""
    with pytest.raises(ValueError, match="expected") as refused:
        record_name(text)
    assert repr(text.partition("/")[0]) in str(refused.value) or repr(text) in str(refused.value)


def test_an_id_that_is_too_long_is_refused() -> None:
    """An id has at most 255 characters, as on crm.records.v1."""
    assert record_name("lead/" + "x" * 255) == RecordName("lead", "x" * 255)
    with pytest.raises(ValueError, match="expected OBJECT/ID"):
        record_name("lead/" + "x" * 256)


@pytest.mark.parametrize(
    ("word", "expected"),
    [("us-wets", ["us-west"]), ("Europe", ["emea"]), ("united states west", ["us-west"]), ("qqqqqq", [])],
)
def test_near_matches_by_id_and_by_name(word: str, expected: list[str]) -> None:
    """A misspelt id or a display name finds the id; a text that resembles nothing finds none."""
    assert near_matches(word, NAMES)[: len(expected) or None] == expected


def test_unknown_territories_and_users_are_reported_with_similar_ones() -> None:
    """The error names the id, the model, and the ids that resemble it."""
    model = compile_model(
        {
            "org": "acme",
            "roles": [{"id": "ceo"}],
            "users": [{"id": "ann", "name": "Ann Able", "role": "ceo"}],
            "territories": [{"id": "us-west", "name": "West"}],
        },
        1,
    )
    check_territory(model, "us-west")
    check_user(model, "ann")
    with pytest.raises(NotFound, match="territory 'us-wst' is not in the model of 'acme'; did you mean us-west"):
        check_territory(model, "us-wst")
    with pytest.raises(NotFound, match="user 'zzz' is not in the model of 'acme'; there is one"):
        check_user(model, "zzz")


def test_an_unknown_user_is_answered_with_users_alone() -> None:
    """A territory of the same id is no hint for a user; a hint that was found by its name shows the name."""
    model = compile_model(
        {
            "org": "acme", "roles": [{"id": "r"}], "users": [{"id": "u7", "name": "Nora Body", "role": "r"}],
            "territories": [{"id": "nobody"}, {"id": "nl-cm", "name": "Nobody's"}],
            "groups": [{"id": "queue", "name": "Leads", "users": ["u7"]}],
        },
        1,
    )  # fmt: skip
    for check in (check_user, check_owner):
        with pytest.raises(NotFound) as unknown:
            check(model, "nora bodi")
        assert str(unknown.value).endswith("did you mean u7 (Nora Body)?")
        with pytest.raises(NotFound) as unlike:
            check(model, "nl-cm")
        assert "did you mean" not in str(unlike.value)
    check_owner(model, "queue")
    with pytest.raises(NotFound, match=r"user or group 'queues' is not in .* did you mean queue "):
        check_owner(model, "queues")
