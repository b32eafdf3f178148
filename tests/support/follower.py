"""Someone who follows the index by its events alone, as a search engine would."""

from __future__ import annotations

from territory.wire.events import AccessForgotten, read_access_change

Sets = dict[tuple[str, str, str], set[str]]
"""Record ids by organisation, user and object."""


class Follower:
    """Keeps who sees what, from territory.access-changes.v1."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str, str], tuple[tuple[int, int], bool]] = {}
        """By organisation, user, object and record: the partition and source, and whether the user may edit."""

    def take(self, partition: int, value: bytes) -> None:
        """Take one message, in the order of its partition; it may come again with all that came after it."""
        said = read_access_change(value)
        if isinstance(said, AccessForgotten):
            self._seen = {
                place: (where, edit)
                for place, (where, edit) in self._seen.items()
                if (place[0], where) != (said.org_id, (partition, said.source))
            }
            return
        for record_id in said.revoked:
            self._seen.pop((said.org_id, said.user_id, said.object, record_id), None)
        for ids, edit in ((said.edit, True), (said.read, False)):
            for record_id in ids:
                self._seen[said.org_id, said.user_id, said.object, record_id] = ((partition, said.source), edit)

    def sets(self, *, editable: bool = False) -> Sets:
        """Return what each user sees, or may edit."""
        found: Sets = {}
        for (*place, record_id), (_, edit) in self._seen.items():
            if edit or not editable:
                found.setdefault((place[0], place[1], place[2]), set()).add(record_id)
        return found
