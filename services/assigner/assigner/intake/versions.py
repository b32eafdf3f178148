"""Which of two changes of a record is the later one (A9, A13).

The greater version wins in any order. Of several changes with one version the one later in the log wins, and a
repeat of one of them is stale: upstreams whose versions are whole seconds write such changes.
"""

from __future__ import annotations

from territory.wire.events import Record, RecordChange
from territory.wire.rerouting import Arrival

SEEN_MAX = 32
"""Event ids of one version that a record remembers."""


def is_stale(change: RecordChange, before: Record | None, origin: Arrival) -> bool:
    """Whether a change is older than what is known, or a repeat; records and links count versions separately."""
    if before is None:
        return False
    version = before.link_version if change.op == "link" else before.version
    if change.version != version:
        return change.version < version
    if change.event_id in (before.seen_links if change.op == "link" else (before.event_id, *before.seen)):
        return True
    # A batch that is repeated after a crash: its changes are in the state already, and later ones as well.
    return origin.partition == before.source_partition and 0 <= origin.offset <= before.source_offset


def seen_after(change: RecordChange, before: Record | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the event ids to remember after a change, beside its own: of the version, and of the link version.

    The id of the last event is in the record itself, whichever kind it was; those of links are always listed.
    """
    if before is None:
        return (), (change.event_id,) if change.op == "link" else ()
    was_link = before.event_id in before.seen_links
    seen = before.seen if was_link or not before.version else _added(before.seen, before.event_id)
    if change.op == "link":
        links = before.seen_links if change.version == before.link_version else ()
        return seen, _added(links, change.event_id)
    return seen if change.version == before.version else (), before.seen_links


def _added(seen: tuple[str, ...], event_id: str) -> tuple[str, ...]:
    return (*seen, event_id)[-SEEN_MAX:]
