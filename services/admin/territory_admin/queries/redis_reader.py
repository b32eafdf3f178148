"""Reads one organisation's keys in Redis: record states, visible sets, attainments and lists of deals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisClusterException

from territory.model.document import Level, ObjectType
from territory.model.periods import FiscalCalendar
from territory.wire.codec import decode
from territory.wire.events import SUMS
from territory.wire.keys import (
    adjustments_key,
    admins_key,
    attainment_hash_key,
    editable_key,
    left_out_key,
    parse_adjustment_field,
    parse_attainment_hash_key,
    record_hash_key,
    visible_key,
)
from territory_admin.arguments import RecordName
from territory_admin.errors import WHY_UNKNOWN, NotFound
from territory_client import IndexedRecord
from territory_client.questions import RECORD_FIELDS, record_of
from territory_runtime.redis.connection import connect
from territory_runtime.redis.nodes import Client
from territory_runtime.settings import Settings, SettingsRefused

SCANNED_KEYS = 10_000
CHUNK_COMMANDS = 1_000


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether a record is in a user's sets, and whether the user is an administrator."""

    visible: bool
    editable: bool
    admin: bool


@dataclass(frozen=True, slots=True)
class AttainmentRow:
    """The attainment of a territory, or of a user in a territory, in a period.

    Amounts are texts of exact decimals; None where there is no target, or where users have no such figure.
    """

    territory_id: str
    period: str
    user_id: str | None
    target: str | None
    won: str | None
    pipeline: str | None
    best_case: str | None
    committed: str | None
    weighted: str | None
    won_by_others: str | None
    deals_won: int
    attainment_pct: str | None
    gap: str | None
    shortage: str | None
    model_revision: int | None
    coverage: str | None = None
    target_mismatch: str | None = None
    star_performer: bool = False
    frozen: bool = False
    """Whether the period is closed. Its figures are those of the closing; adjustments are what changed since (F12)."""
    adjustment_target: str | None = None
    adjustment_won: str | None = None
    adjustment_pipeline: str | None = None
    adjustment_best_case: str | None = None
    adjustment_committed: str | None = None
    adjustment_weighted: str | None = None
    adjustment_won_by_others: str | None = None
    adjustment_deals_won: int | None = None


@dataclass(frozen=True, slots=True)
class AdjustedDeal:
    """A deal that counts for something else than when its period was closed (F12).

    `frozen` and `now` have path, category, amount, weighted, owner_id and by_others; None if the deal counted,
    or counts, for nothing in that period.
    """

    period: str
    id: str
    frozen: dict[str, Any] | None
    now: dict[str, Any] | None

    @property
    def territories(self) -> frozenset[str]:
        """The territories whose figures it may adjust."""
        return frozenset(place for side in (self.frozen, self.now) if side for place in side["path"])


@dataclass(frozen=True, slots=True)
class LeftOutDeal:
    """A deal that is in no sum, and why."""

    id: str
    reason: str
    detail: str


_AMOUNTS = ("target", "won", "pipeline", "best_case", "committed", "weighted", "won_by_others", "attainment_pct", "gap",
            "shortage", "coverage", "target_mismatch",
            *(f"adjustment_{name}" for name in ("target", *SUMS)))  # fmt: skip


class OrganisationIndex:
    """One organisation's keys in Redis. Every method raises redis.exceptions.RedisError, RedisClusterException."""

    def __init__(self, client: Client, org_id: str) -> None:
        self._redis = client
        self._org_id = org_id

    async def record(self, name: RecordName) -> IndexedRecord | None:
        """Return the state of a record; None if Redis does not have it."""
        return (await self.records(name.object, [name.id])).get(name.id)

    async def records(self, object_type: ObjectType, record_ids: Iterable[str]) -> dict[str, IndexedRecord]:
        """Return the states of the records that Redis has, by id."""
        wanted = list(record_ids)
        found: dict[str, IndexedRecord] = {}
        for start in range(0, len(wanted), CHUNK_COMMANDS):
            chunk = wanted[start : start + CHUNK_COMMANDS]
            pipeline = self._redis.pipeline(transaction=False)
            for record_id in chunk:
                pipeline.hmget(record_hash_key(self._org_id, object_type, record_id), RECORD_FIELDS)
            for record_id, fields in zip(chunk, await pipeline.execute(), strict=True):
                record = record_of(fields)
                if record is not None:
                    found[record_id] = record
        return found

    async def ids(self, user_id: str, object_type: ObjectType, level: Level) -> list[str]:
        """Return the ids of the records that a user may read, or may edit, sorted."""
        key = (visible_key if level == "read" else editable_key)(self._org_id, user_id, object_type)
        return sorted({record_id async for record_id in self._redis.sscan_iter(key, count=CHUNK_COMMANDS)})

    async def count(self, user_id: str, object_type: ObjectType, level: Level) -> int:
        """Return the number of records that a user may read, or may edit."""
        key = (visible_key if level == "read" else editable_key)(self._org_id, user_id, object_type)
        return int(await self._redis.scard(key))

    async def admins(self) -> frozenset[str]:
        """Return the administrators, who see and edit everything."""
        return frozenset(map(str, await self._redis.smembers(admins_key(self._org_id))))

    async def membership(self, user_id: str, name: RecordName) -> Membership:
        """Return whether a record is in a user's sets: the check that applications make."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.sismember(visible_key(self._org_id, user_id, name.object), name.id)
        pipeline.sismember(editable_key(self._org_id, user_id, name.object), name.id)
        pipeline.sismember(admins_key(self._org_id), user_id)
        visible, editable, admin = await pipeline.execute()
        return Membership(bool(visible), bool(editable), bool(admin))

    async def attainments(
        self, *, territory_ids: Collection[str] | None = None, period: str | None = None, users: bool = False
    ) -> list[AttainmentRow]:
        """Return attainments ordered by territory, period and user; with `users`, those of users too."""
        keys: list[str] = []
        wanted = None if territory_ids is None else frozenset(territory_ids)
        if wanted is not None and period is not None and not users:
            keys += [attainment_hash_key(self._org_id, each, period, None) for each in wanted]
        else:
            async for key in self._redis.scan_iter(match=f"attainment:{{{self._org_id}}}:*", count=SCANNED_KEYS):
                _, *place, user_id = parse_attainment_hash_key(key)
                if (users or user_id is None) and (wanted is None or place[0] in wanted) and period in (None, place[1]):
                    keys.append(key)
        rows: dict[tuple[str, str, str], AttainmentRow] = {}
        for start in range(0, len(keys), CHUNK_COMMANDS):
            chunk = keys[start : start + CHUNK_COMMANDS]
            pipeline = self._redis.pipeline(transaction=False)
            for key in chunk:
                pipeline.hgetall(key)
            for key, fields in zip(chunk, await pipeline.execute(), strict=True):
                if fields:
                    row = _row_of(key, fields)
                    rows[row.territory_id, row.period, row.user_id or ""] = row
        return [rows[place] for place in sorted(rows)]

    async def adjustments(self, *, territory_id: str | None = None, period: str | None = None) -> list[AdjustedDeal]:
        """Return the adjusted deals of a territory and below it, by period and id; of all periods in a year (F12)."""
        found: dict[tuple[str, str], AdjustedDeal] = {}
        async for name, text in self._redis.hscan_iter(adjustments_key(self._org_id), count=CHUNK_COMMANDS):
            place = parse_adjustment_field(str(name))
            found[place] = AdjustedDeal(*place, **decode(str(text).encode()))
        return [
            deal
            for place, deal in sorted(found.items())
            if period in (None, place[0], FiscalCalendar.year_of(place[0]))
            and (territory_id is None or territory_id in deal.territories)
        ]

    async def left_out(self) -> list[LeftOutDeal]:
        """Return the deals that are in no sum, by id (F2, F10)."""
        key = left_out_key(self._org_id)
        found = {deal_id: why async for deal_id, why in self._redis.hscan_iter(key, count=CHUNK_COMMANDS)}
        deals: list[LeftOutDeal] = []
        for deal_id in sorted(found):
            why = decode(found[deal_id].encode())
            deals.append(LeftOutDeal(deal_id, why["reason"], why["detail"]))
        return deals


def _row_of(key: str, fields: Mapping[str, str]) -> AttainmentRow:
    _, territory_id, period, user_id = parse_attainment_hash_key(key)
    amounts: dict[str, Any] = {name: fields.get(name) or None for name in _AMOUNTS}
    revision = fields.get("model_revision")
    adjusted = fields.get("adjustment_deals_won")
    return AttainmentRow(
        territory_id,
        period,
        user_id,
        **amounts,
        deals_won=int(fields.get("deals_won") or 0),
        model_revision=int(revision) if revision else None,
        star_performer=fields.get("star_performer") == "1",
        frozen=fields.get("frozen") == "1",
        adjustment_deals_won=int(adjusted) if adjusted else None,
    )


@asynccontextmanager
async def open_index(settings: Settings, org_id: str | None = None) -> AsyncIterator[OrganisationIndex]:
    """Open an organisation's index, by default the settings' organisation's; it connects at the first question.

    Raises: SettingsRefused for a Redis URL that can't be read.
    """
    try:
        client = connect(settings)
    except (ValueError, RedisClusterException) as fault:
        raise SettingsRefused(f"TERRITORY_REDIS_URL: {fault}") from fault
    try:
        yield OrganisationIndex(client, org_id or settings.org_id)
    finally:
        await client.aclose()


async def indexed_record(settings: Settings, name: RecordName) -> IndexedRecord:
    """Return the state of a record in Redis. Raises: NotFound if Redis does not have it; RedisError."""
    async with open_index(settings) as index:
        record = await index.record(name)
    if record is None:
        raise NotFound(f"{name} of organisation {settings.org_id!r} is not in the index: {WHY_UNKNOWN}")
    return record
