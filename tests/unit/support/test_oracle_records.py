"""The oracle's records against examples computed by hand."""

from tests.support.oracle import Record, records_after

from .oracle_examples import delete, link, patch, upsert


def test_record_life() -> None:
    """An upsert replaces, a patch merges and clears, a version not newer is stale (A9)."""
    history = [
        upsert("account", "A", 2, owner_id="rita", fields={"country": "US", "state": "CA"}),
        upsert("account", "A", 1, owner_id="rolf", fields={"country": "DE"}),
        upsert("account", "A", 2, owner_id="rolf", fields={"country": "FR"}),
        patch("account", "A", 3, fields={"state": None, "sector": "retail"}),
        patch("account", "A", 4, owner_id=None),
        patch("account", "A", 4, owner_id="emma"),
    ]
    assert records_after(history) == {
        "acme/account/A": Record(
            "acme",
            "account",
            "A",
            version=4,
            alive=True,
            owner_id=None,
            fields={"country": "US", "state": None, "sector": "retail"},
        )
    }
    replaced = records_after([*history, upsert("account", "A", 5, fields={"country": "CA"})])
    assert replaced["acme/account/A"].fields == {"country": "CA"}


def test_patch_keeps_what_it_does_not_name() -> None:
    """A patch keeps account, contact and owner where it has no such attribute (A8)."""
    deal = upsert("deal", "D", 1, owner_id="rita", account_id="A", contact_id="C")
    record = records_after([deal, patch("deal", "D", 2, contact_id=None)])["acme/deal/D"]
    assert (record.owner_id, record.account_id, record.contact_id) == ("rita", "A", None)


def test_refused_changes_are_ignored() -> None:
    """A patch without a record, and a patch or link after a delete, change nothing (A4, A9)."""
    history = [
        patch("account", "A", 7, owner_id="rita"),
        upsert("account", "A", 1, owner_id="rolf"),
        delete("account", "B", 3),
        patch("account", "B", 4, owner_id="rita"),
        link("account", "B", "bay", version=9),
        upsert("account", "B", 3, owner_id="rita"),
    ]
    assert {key: record.version for key, record in records_after(history).items()} == {"acme/account/A": 1}
    again = records_after([*history, upsert("account", "B", 4), link("account", "B", "us")])
    assert again["acme/account/B"].by_hand == {"us": "assign"}
