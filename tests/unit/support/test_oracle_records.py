"""The oracle's records against examples computed by hand."""

from tests.support.oracle import Record, records_after

from .oracle_examples import delete, link, patch, upsert


def test_record_life() -> None:
    """An upsert replaces, a patch merges and clears, an older version is stale (A9)."""
    history = [
        upsert("account", "A", 2, owner_id="rita", fields={"country": "US", "state": "CA"}),
        upsert("account", "A", 1, owner_id="rolf", fields={"country": "DE"}),
        patch("account", "A", 3, fields={"state": None, "sector": "retail"}),
        patch("account", "A", 2, owner_id="rolf"),
        patch("account", "A", 4, owner_id=None),
    ]
    assert records_after(history) == {
        "acme/account/A": Record(
            "acme", "account", "A", version=4, alive=True, owner_id=None, fields={"country": "US", "sector": "retail"}
        )
    }
    replaced = records_after([*history, upsert("account", "A", 5, fields={"country": "CA"})])
    assert replaced["acme/account/A"].fields == {"country": "CA"}


def test_later_of_equal_versions() -> None:
    """Of changes with one version the later wins; a repeat of one of them does not (A13)."""
    first = upsert("account", "A", 2, owner_id="rita", fields={"country": "US"})
    second = patch("account", "A", 2, owner_id="rolf")
    deleted = delete("account", "A", 2)
    for history, owner in (([first, second, first], "rolf"), ([first, second, deleted, second, first], None)):
        owners = [record.owner_id for record in records_after(history).values()]
        assert owners == ([] if owner is None else [owner])
    assert records_after([first, deleted, upsert("account", "A", 2, owner_id="emma")])["acme/account/A"].alive


def test_later_of_links_with_equal_versions() -> None:
    """The same holds for links, each pair by itself (A4, A13)."""
    history = [
        upsert("account", "A"),
        link("account", "A", "bay"),
        link("account", "A", "us"),
        link("account", "A", "bay", "exclude"),
        link("account", "A", "bay"),
    ]
    assert records_after(history)["acme/account/A"].by_hand == {"us": "assign", "bay": "exclude"}


def test_patch_of_a_part() -> None:
    """Members of objects merge, null removes one, anything else replaces (C12)."""
    place = {"lat": 1, "more": {"a": {"b": 1, "c": 2}}}
    for part, whole in (
        ({"place": {"lat": 2}}, {"place": {"lat": 2, "more": place["more"]}}),
        ({"place": {"lat": None}}, {"place": {"more": place["more"]}}),
        ({"place": {"more": {"a": {"b": None, "d": 3}}}}, {"place": {"lat": 1, "more": {"a": {"c": 2, "d": 3}}}}),
        ({"place": {"lat": {"x": 1, "y": None}}}, {"place": {"lat": {"x": 1}, "more": place["more"]}}),
        ({"place": 5}, {"place": 5}),
        ({"place": None}, {}),
    ):
        history = [upsert("account", "A", fields={"place": place}), patch("account", "A", 2, fields=part)]
        assert records_after(history)["acme/account/A"].fields == whole


def test_empty_references_and_broken_text() -> None:
    """An empty or blank id is null, half of a surrogate pair is U+FFFD (A13)."""
    deal = upsert("deal", "D\ud800", owner_id="", account_id=" ", contact_id="C", fields={"a\udfff": ["\ud800"]})
    record = records_after([deal])["acme/deal/D\ufffd"]
    assert (record.owner_id, record.account_id, record.contact_id) == (None, None, "C")
    assert record.fields == {"a\ufffd": ["\ufffd"]}


def test_patch_keeps_what_it_does_not_name() -> None:
    """A patch keeps account, contact and owner where it has no such attribute (A8)."""
    deal = upsert("deal", "D", 1, owner_id="rita", account_id="A", contact_id="C")
    record = records_after([deal, patch("deal", "D", 2, contact_id=None)])["acme/deal/D"]
    assert (record.owner_id, record.account_id, record.contact_id) == ("rita", "A", None)


def test_patches_wait_for_their_record() -> None:
    """A patch before its record is applied when an older whole record comes, in the order of versions (A13)."""
    early = [
        patch("account", "A", 7, owner_id="rita", fields={"state": "NV"}),
        patch("account", "A", 5, owner_id="emma", fields={"sector": "retail"}),
        patch("account", "A", 2, owner_id="egon"),
    ]
    [record] = records_after([*early, upsert("account", "A", 3, fields={"country": "US"})]).values()
    assert (record.version, record.owner_id) == (7, "rita")
    assert record.fields == {"country": "US", "state": "NV", "sector": "retail"}
    [newer] = records_after([*early, upsert("account", "A", 8, owner_id="rolf")]).values()
    assert (newer.version, newer.owner_id) == (8, "rolf")


def test_refused_changes_are_ignored() -> None:
    """A link after a delete changes nothing (A4, A9)."""
    history = [
        upsert("account", "A", 1, owner_id="rolf"),
        delete("account", "B", 3),
        link("account", "B", "bay", version=9),
        upsert("account", "B", 2, owner_id="rita"),
    ]
    assert {key: record.version for key, record in records_after(history).items()} == {"acme/account/A": 1}
    again = records_after([*history, upsert("account", "B", 4), link("account", "B", "us")])
    assert again["acme/account/B"].by_hand == {"us": "assign"}
