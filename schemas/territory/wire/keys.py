"""Builds and parses all keys of Kafka and Redis.

Keys never collide: an organisation's id holds no slash, colon or brace, an object is one of
four words, and a record's id, which may hold any character, comes last.
"""

from __future__ import annotations

import struct
import zlib


def record_key(org_id: str, object_type: str, record_id: str) -> str:
    """Return `<org>/<object>/<id>`."""
    return f"{org_id}/{object_type}/{record_id}"


def parse_record_key(key: str) -> tuple[str, str, str]:
    """Return organisation, object and id. Raises: ValueError for any other key."""
    org_id, object_type, record_id = key.split("/", 2)
    return org_id, object_type, record_id


def org_of(key: str) -> str:
    """Return the organisation of any Kafka key of ours."""
    return key.split("/", 1)[0]


def family_key(org_id: str, object_type: str, record_id: str, account_id: str | None, contact_id: str | None) -> str:
    """Return the key of a record's family: the record key of the family's head.

    The head is the account, for an account and for every contact and deal that names it; the
    contact, for a deal that names a contact and no account; and otherwise the record itself.
    """
    if object_type in ("contact", "deal"):
        if account_id is not None:
            return record_key(org_id, "account", account_id)
        if object_type == "deal" and contact_id is not None:
            return record_key(org_id, "contact", contact_id)
    return record_key(org_id, object_type, record_id)


def subscription_key(key: str, partition: int) -> str:
    """Return the key of a partition's subscription to a record. Both kinds of key differ from every record's own."""
    org_id, rest = key.split("/", 1)
    return f"{org_id}/subscribed/{partition}/{rest}"


def copy_key(key: str) -> str:
    """Return the key of a subscriber's copy of a record."""
    org_id, rest = key.split("/", 1)
    return f"{org_id}/copied/{rest}"


def parse_subscription_key(key: str) -> tuple[str, int | None, bool]:
    """Return what a key of territory.internal.subscriptions.v1 is about.

    Returns: The record's key; the partition that subscribes, None if it is no subscription; whether it is a copy.

    Raises: ValueError for a key that is none of the three kinds.
    """
    org_id, kind, rest = key.split("/", 2)
    partition: int | None = None
    if kind == "subscribed":
        number, rest = rest.split("/", 1)
        if not (number.isascii() and number.isdecimal()):
            raise ValueError(f"found partition {number[:20]!r}")
        partition = int(number)
    elif kind != "copied":
        rest = f"{kind}/{rest}"
    object_type, _ = rest.split("/", 1)
    if object_type not in (("contact", "account") if kind in ("subscribed", "copied") else ("contact",)):
        raise ValueError(f"found object {object_type[:20]!r}")
    return f"{org_id}/{rest}", partition, kind == "copied"


def model_key(org_id: str, kind: str, piece_id: str) -> str:
    """Return `<org>/<kind>/<id>`, the key of one piece of a model."""
    return f"{org_id}/{kind}/{piece_id}"


def attainment_key(org_id: str, territory_id: str, period: str, user_id: str | None) -> str:
    """Return `<org>/<territory>/<period>[/<user>]`."""
    key = f"{org_id}/{territory_id}/{period}"
    return key if user_id is None else f"{key}/{user_id}"


def access_key(org_id: str, user_id: str) -> str:
    """Return `<org>/<user>`; with an empty user, the key of resets of the whole organisation."""
    return f"{org_id}/{user_id}"


def partial_key(org_id: str, territory_id: str, period: str, user_id: str | None, source: int) -> str:
    """Return the key of one partition's contribution to an attainment."""
    return f"{attainment_key(org_id, territory_id, period, user_id)}#{source}"


def swept_key(org_id: str, source: int, *, ended: bool) -> str:
    """Return the key of the marker that a source starts or ends republishing all of its partials.

    The two keys differ so that compaction keeps both. No real period is empty, so no partial has such a key.
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
    """Return the key of the list of periods that a partition has closed (F12)."""
    return f"{org_id}/closed/periods"


def partition_of(route: str, partitions: int) -> int:
    """Return the partition of a routing key on our own topics (CRC-32, the same in every release)."""
    return zlib.crc32(route.encode()) % partitions


_MULTIPLIER = 0x5BD1E995
_SEED = 0x9747B28C
_LOW_32 = 0xFFFFFFFF


def upstream_partition_of(key: str, partitions: int) -> int:
    """Return the partition of crm.records.v1 that Kafka's Java clients choose for a key by default (murmur2).

    It is the home of a record: intake keeps the record's state there, wherever its changes arrive.
    """
    raw = key.encode()
    words = len(raw) // 4
    state = _SEED ^ len(raw)
    for word in struct.unpack_from(f"<{words}I", raw):
        word = word * _MULTIPLIER & _LOW_32  # noqa: PLW2901 -- one name for one word, in three steps
        word ^= word >> 24  # noqa: PLW2901 -- as above
        state = (state * _MULTIPLIER ^ word * _MULTIPLIER) & _LOW_32
    rest = raw[4 * words :]
    if rest:
        state = (state ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _LOW_32
    state = (state ^ state >> 13) * _MULTIPLIER & _LOW_32
    return ((state ^ state >> 15) & 0x7FFFFFFF) % partitions


# --- Redis -----------------------------------------------------------------------------------


def visible_key(org_id: str, user_id: str, object_type: str) -> str:
    """Return the key of the set of record ids that a user may read."""
    return f"visible:{{{org_id}:{user_id}}}:{object_type}"


def editable_key(org_id: str, user_id: str, object_type: str) -> str:
    """Return the key of the set of record ids that a user may edit."""
    return f"editable:{{{org_id}:{user_id}}}:{object_type}"


def parse_set_key(key: str) -> tuple[str, str, str, str]:
    """Return `visible` or `editable`, organisation, user and object. Raises: ValueError for any other key."""
    access, rest = key.split(":{", 1)
    tag, object_type = rest.rsplit("}:", 1)
    org_id, user_id = tag.split(":", 1)
    return access, org_id, user_id, object_type


def admins_key(org_id: str) -> str:
    """Return the key of the set of users who see and edit everything."""
    return f"admins:{{{org_id}}}"


def record_hash_key(org_id: str, object_type: str, record_id: str) -> str:
    """Return the key of the hash with a record's assignment."""
    return f"record:{{{org_id}:{object_type}:{record_id}}}"


def parse_record_hash_key(key: str) -> tuple[str, str, str]:
    """Return organisation, object and id. Raises: ValueError for any other key."""
    org_id, object_type, record_id = key.removeprefix("record:{").removesuffix("}").split(":", 2)
    return org_id, object_type, record_id


def attainment_hash_key(org_id: str, territory_id: str, period: str, user_id: str | None) -> str:
    """Return the key of the hash with the attainment of a territory, or of a user in it."""
    key = f"attainment:{{{org_id}}}:{territory_id}:{period}"
    return key if user_id is None else f"{key}:{user_id}"


def parse_attainment_hash_key(key: str) -> tuple[str, str, str, str | None]:
    """Return organisation, territory, period and user. Raises: ValueError for any other key."""
    org_id, rest = key.removeprefix("attainment:{").split("}:", 1)
    territory_id, period, *user = rest.split(":", 2)
    return org_id, territory_id, period, user[0] if user else None


def left_out_key(org_id: str) -> str:
    """Return the key of the hash of deals that are in no sum, with the reason (F2, F10)."""
    return f"left_out:{{{org_id}}}"


def adjustments_key(org_id: str) -> str:
    """Return the key of the hash of deals that changed since their period was closed (F12)."""
    return f"adjustments:{{{org_id}}}"


def adjustment_field(period: str, deal_id: str) -> str:
    """Return the field of one deal in the adjustments hash. It is unambiguous: no period holds a slash."""
    return f"{period}/{deal_id}"


def parse_adjustment_field(name: str) -> tuple[str, str]:
    """Return period and deal. Raises: ValueError for any other name."""
    period, deal_id = name.split("/", 1)
    return period, deal_id


def fence_key(stage: str, partition: int, tag: int | None = None) -> str:
    """Return the fence key of a partition: the epoch that may write, and the number of its writes.

    On a Redis Cluster every node has a fence of its own; `tag` is a hash tag that maps to the node.
    """
    return f"fence:{stage}:{partition}" if tag is None else f"fence:{{{tag}}}:{stage}:{partition}"


HELD_KEY = "index-held"
"""All index writes pause while this key exists: `territory rebuild` is switching to a new index."""


def held_key(tag: int | None = None) -> str:
    """Return the key that pauses writes. On a cluster it has a hash tag and never exists: there is no rebuild."""
    return HELD_KEY if tag is None else f"fence:{{{tag}}}:held"


def rebuilding_key(org_id: str) -> str:
    """Return the key with the id of the running rebuild of an organisation's index."""
    return f"rebuilding:{{{org_id}}}"


def rebuild_prefix(org_id: str, rebuild_id: str = "") -> str:
    """Return the prefix of the keys of a new index while it is built; without an id, of every such index."""
    return f"rebuild:{{{org_id}}}:{rebuild_id}:" if rebuild_id else f"rebuild:{{{org_id}}}:"


def index_key(org_id: str) -> str:
    """Return the key of the hash with the index's progress by partition."""
    return f"index:{{{org_id}}}"
