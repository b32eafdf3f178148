"""The one place where keys are built and parsed, Kafka's and Redis's alike.

An organisation's id holds no slash, colon or brace, an object is one of four words and the
record's id comes last: so no two things share a key, whatever the ids hold.
"""

from __future__ import annotations

import zlib


def record_key(org_id: str, object_type: str, record_id: str) -> str:
    """Return `<org>/<object>/<id>`."""
    return f"{org_id}/{object_type}/{record_id}"


def parse_record_key(key: str) -> tuple[str, str, str]:
    """Return organisation, object and id. Raises: ValueError when it is no such key."""
    org_id, object_type, record_id = key.split("/", 2)
    return org_id, object_type, record_id


def org_of(key: str) -> str:
    """Return the organisation that any of our keys begins with."""
    return key.split("/", 1)[0]


def family_key(org_id: str, object_type: str, record_id: str, account_id: str | None, contact_id: str | None) -> str:
    """Return the record key of the head of a record's account family.

    The account's, for an account and what names it; the contact's, for a deal that names a
    contact and no account; its own, for all others.
    """
    if object_type in ("contact", "deal"):
        if account_id is not None:
            return record_key(org_id, "account", account_id)
        if object_type == "deal" and contact_id is not None:
            return record_key(org_id, "contact", contact_id)
    return record_key(org_id, object_type, record_id)


def model_key(org_id: str, kind: str, piece_id: str) -> str:
    """Return `<org>/<kind>/<id>`, the key of one piece of a model."""
    return f"{org_id}/{kind}/{piece_id}"


def attainment_key(org_id: str, territory_id: str, period: str, user_id: str | None) -> str:
    """Return `<org>/<territory>/<period>[/<user>]`."""
    key = f"{org_id}/{territory_id}/{period}"
    return key if user_id is None else f"{key}/{user_id}"


def access_key(org_id: str, user_id: str) -> str:
    """Return `<org>/<user>`; without a user, the key of what is said to all who follow an organisation's index."""
    return f"{org_id}/{user_id}"


def partial_key(org_id: str, territory_id: str, period: str, user_id: str | None, source: int) -> str:
    """Return the key of what one partition knows of an attainment."""
    return f"{attainment_key(org_id, territory_id, period, user_id)}#{source}"


def swept_key(org_id: str, source: int, *, ended: bool) -> str:
    """Return the key of a partition's word that it begins to say all of its partials, or has; no period is empty.

    Compaction must leave both.
    """
    return f"{org_id}/{'swept' if ended else 'sweeping'}/#{source}"


def parse_partial_key(key: str) -> tuple[str, str, str, str | None, int] | None:
    """Return organisation, territory, period, user and source; None for a `swept_key`."""
    place, source = key.rsplit("#", 1)
    org_id, territory_id, period, *user = place.split("/", 3)
    if not period:
        return None
    return org_id, territory_id, period, user[0] if user else None, int(source)


def closed_key(org_id: str) -> str:
    """Return the key of a partition's word on which periods it has closed (F12)."""
    return f"{org_id}/closed/periods"


def partition_of(route: str, partitions: int) -> int:
    """Return the partition that a routing key goes to on our own topics (CRC-32, stable)."""
    return zlib.crc32(route.encode()) % partitions


# --- Redis -----------------------------------------------------------------------------------


def visible_key(org_id: str, user_id: str, object_type: str) -> str:
    """Return the key of the set of record ids that a user may read."""
    return f"visible:{{{org_id}:{user_id}}}:{object_type}"


def editable_key(org_id: str, user_id: str, object_type: str) -> str:
    """Return the key of the set of record ids that a user may edit."""
    return f"editable:{{{org_id}:{user_id}}}:{object_type}"


def parse_set_key(key: str) -> tuple[str, str, str, str]:
    """Return `visible` or `editable`, organisation, user and object. Raises: ValueError."""
    word, rest = key.split(":{", 1)
    tag, object_type = rest.rsplit("}:", 1)
    org_id, user_id = tag.split(":", 1)
    return word, org_id, user_id, object_type


def admins_key(org_id: str) -> str:
    """Return the key of the set of users who see and edit everything."""
    return f"admins:{{{org_id}}}"


def record_hash_key(org_id: str, object_type: str, record_id: str) -> str:
    """Return the key of the hash that says where a record stands."""
    return f"record:{{{org_id}:{object_type}:{record_id}}}"


def parse_record_hash_key(key: str) -> tuple[str, str, str]:
    """Return organisation, object and id. Raises: ValueError when it is no such key."""
    org_id, object_type, record_id = key.removeprefix("record:{").removesuffix("}").split(":", 2)
    return org_id, object_type, record_id


def attainment_hash_key(org_id: str, territory_id: str, period: str, user_id: str | None) -> str:
    """Return the key of the hash that says how a territory or user stands in a period."""
    key = f"attainment:{{{org_id}}}:{territory_id}:{period}"
    return key if user_id is None else f"{key}:{user_id}"


def parse_attainment_hash_key(key: str) -> tuple[str, str, str, str | None]:
    """Return organisation, territory, period and user. Raises: ValueError when it is no such key."""
    org_id, rest = key.removeprefix("attainment:{").split("}:", 1)
    territory_id, period, *user = rest.split(":", 2)
    return org_id, territory_id, period, user[0] if user else None


def left_out_key(org_id: str) -> str:
    """Return the key of the hash of deals that are in no sum, with the reason (F2, F10)."""
    return f"left_out:{{{org_id}}}"


def adjustments_key(org_id: str) -> str:
    """Return the key of the hash of deals that count for something else than when their period was closed (F12)."""
    return f"adjustments:{{{org_id}}}"


def adjustment_field(period: str, deal_id: str) -> str:
    """Return the name of one deal in that hash; no period holds a slash."""
    return f"{period}/{deal_id}"


def parse_adjustment_field(name: str) -> tuple[str, str]:
    """Return period and deal. Raises: ValueError when it is no such name."""
    period, deal_id = name.split("/", 1)
    return period, deal_id


def fence_key(stage: str, partition: int, tag: int | None = None) -> str:
    """Return the key that says which term of a partition may write, and how often one has.

    On a cluster there is one for each node, and some more, told apart by a number that is the hash tag.
    """
    return f"fence:{stage}:{partition}" if tag is None else f"fence:{{{tag}}}:{stage}:{partition}"


HELD_KEY = "index-held"
"""While it is there, nobody writes: the index is being exchanged."""


def held_key(tag: int | None = None) -> str:
    """Return the key that writes look at for that; with a tag one of a cluster, where nothing is ever exchanged."""
    return HELD_KEY if tag is None else f"fence:{{{tag}}}:held"


def rebuilding_key(org_id: str) -> str:
    """Return the key that says which rebuild of an organisation's index is under way."""
    return f"rebuilding:{{{org_id}}}"


def rebuild_prefix(org_id: str, rebuild_id: str = "") -> str:
    """Return what the keys of an index begin with while it is being built; without an id, of all such."""
    return f"rebuild:{{{org_id}}}:{rebuild_id}:" if rebuild_id else f"rebuild:{{{org_id}}}:"


def index_key(org_id: str) -> str:
    """Return the key of the hash that says how far the index is."""
    return f"index:{{{org_id}}}"
