"""Study of a compact layout of the access index: ids become ordinals, a user's records become bitmaps in Redis.

A record has an ordinal of 32 bits in its hash. The first eight bits are its partition, since each partition's worker
assigns its own ordinals. A user's records are containers of 65 536 ordinals, as in a Roaring bitmap: a sorted array
of 16-bit numbers, or a bitmap where that is shorter. Each container is a Redis string whose first character tells
which of the two it is; a script looks into it in place.

The aim: less than 6 bytes a membership, and `can_see` within twice the time of SISMEMBER.
"""

from __future__ import annotations

import random
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from statistics import median
from typing import Any, NamedTuple

import redis
from pyroaring import BitMap

from access_indexer.core.changes import RecordState, record_hash
from benchmarks.results import Figure, Table, figure, say
from benchmarks.stack import PARTITIONS
from territory.wire.keys import record_hash_key, visible_key

ORG, OBJECT = "bench", "account"
DENSITIES = (0.01, 0.1, 0.5)
"""Shares of the records that a user sees."""
USERS = 10
"""Number of users of each density."""
READERS = 9
"""Readers of a record, on average in the mixed corpus: that many memberships share the bytes of an ordinal."""
PARTITION_BITS, LOW_BITS = 8, 16
BLOCK_RECORDS = 64
"""Ids in a hash that maps ordinals back to ids: few enough for Redis' packed encoding."""
SENT_AT_ONCE = 2_000
BATCHES, BATCH_QUESTIONS = 40, 25
FAULTS_SHOWN = 5
BYTES_MAX = 6
RATIO_MAX = 2.0

HOLDS = """
local form = redis.call('GETRANGE', key, 0, 0)
if form == 'b' then return redis.call('GETBIT', key, low + 8) end
if form == '' then return 0 end
local packed = redis.call('GET', key)
local first, last = 0, (#packed - 3) / 2
while first <= last do
  local middle = math.floor((first + last) / 2)
  local a, b = string.byte(packed, 2 * middle + 2, 2 * middle + 3)
  local found = a * 256 + b
  if found == low then return 1 end
  if found < low then first = middle + 1 else last = middle - 1 end
end
return 0
"""
ONE_TRIP = f"""
local ordinal = tonumber(redis.call('HGET', KEYS[1], 'ordinal') or -1)
if ordinal < 0 then return 0 end
local low = ordinal % 65536
local key = KEYS[2] .. ':' .. math.floor(ordinal / 65536)
{HOLDS}"""
"""Keys: the record's hash, and the prefix of the user's container keys. On a cluster these are on two nodes."""
SECOND_TRIP = f"""
local key, low = KEYS[1], tonumber(ARGV[1])
{HOLDS}"""
"""Script for a known ordinal."""

Ask = Callable[[str, str], bool]


class Study(NamedTuple):
    """Result of the study."""

    figures: tuple[Figure, ...]
    table: Table
    faults: tuple[str, ...]
    answers: int
    """Number of answers compared with those of the sets."""


class Taken(NamedTuple):
    """Bytes a membership, for users who see the same share of the records."""

    sets: float
    containers: float
    serialised: float
    """One Roaring bitmap for each user and partition, which a client would have to load whole."""


class Waited(NamedTuple):
    """Microseconds a question in one run, by wall clock; Redis' own time beside it."""

    sismember: float
    one_trip: float
    two_trips: float
    loaded: float
    sismember_of_redis: float
    one_trip_of_redis: float


def parameters() -> dict[str, Any]:
    """Return the assumptions of the study."""
    return {"layout_users": USERS, "layout_partitions": PARTITIONS, "layout_readers": READERS}


# --- the layout -------------------------------------------------------------------------------


def ordinal_of(partition: int, number: int) -> int:
    """Return the ordinal of the n-th record of a partition. Limits: 256 partitions, 16 777 216 records."""
    return partition << (32 - PARTITION_BITS) | number


def containers(ordinals: Iterable[int]) -> dict[int, bytes]:
    """Return containers by the upper half of their ordinals, each in the shorter of its two forms."""
    lows: defaultdict[int, list[int]] = defaultdict(list)
    for ordinal in ordinals:
        lows[ordinal >> LOW_BITS].append(ordinal & 0xFFFF)
    return {high: packed(sorted(some)) for high, some in lows.items()}


def packed(lows: Sequence[int]) -> bytes:
    """Return sorted 16-bit numbers as `a` and a big-endian array, or `b` and a bitmap with the first bit first."""
    if 2 * len(lows) <= lows[-1] // 8 + 1:
        return b"a" + struct.pack(f">{len(lows)}H", *lows)
    bits = bytearray(lows[-1] // 8 + 1)
    for low in lows:
        bits[low >> 3] |= 0x80 >> (low & 7)
    return b"b" + bytes(bits)


def container_prefix(user: str) -> str:
    """Return the prefix of a user's container keys."""
    return visible_key(ORG, user, OBJECT).replace("visible:", "compact:")


# --- what it takes ----------------------------------------------------------------------------


def study(url: str, ids: Sequence[str], runs: int, seed: int = 1) -> Study:
    """Write both layouts into an empty Redis; compare their memory and the time of their answers."""
    rng = random.Random(seed)
    ordinals = {id_: ordinal_of(number % PARTITIONS, number // PARTITIONS) for number, id_ in enumerate(ids)}
    with closing(redis.Redis.from_url(url)) as client:
        layout = _Layout(client, ordinals)
        forth, back = layout.write_ordinals()
        figures, rows, faults, answers = [], [], list[str](), 0
        for share in DENSITIES:
            seen = {f"u{share:g}-{number}": rng.sample(ids, max(1, int(share * len(ids)))) for number in range(USERS)}
            taken = layout.write_users(seen)
            questions = _questions(rng, seen, ids)
            wrong = layout.wrong_answers(questions)
            faults += wrong[:FAULTS_SHOWN]
            answers += 3 * len(questions)
            waited = [layout.timed(questions) for _ in range(runs)]
            figures += _figures(share, taken, (forth + back) / READERS, waited)
            rows.append(_row(share, taken, forth, back, waited))
            say(f"p8: compact, {share:.0%} of the records: {taken.containers:.2f} B a membership")
    return Study(tuple(figures), Table("compact layout", COLUMNS, tuple(rows)), tuple(faults), answers)


class _Layout:
    """Both layouts in one Redis."""

    def __init__(self, client: Any, ordinals: Mapping[str, int]) -> None:
        self._redis = client
        self._ordinals = ordinals
        self._one_trip, self._second_trip = client.script_load(ONE_TRIP), client.script_load(SECOND_TRIP)

    def write_ordinals(self) -> tuple[float, float]:
        """Write record hashes, then their ordinals; return bytes a record from ids to ordinals, and back."""
        count, owner = len(self._ordinals), "user-17"
        for some in _portions(self._ordinals):
            pipe = self._redis.pipeline(transaction=False)
            for id_ in some:
                stands = RecordState(ORG, OBJECT, id_, 1, owner, ("territory-4711",), 1)
                pipe.hset(_hash(id_), items=record_hash(stands, 1))
            pipe.execute()
        before = self._used()
        for some in _portions(self._ordinals):
            pipe = self._redis.pipeline(transaction=False)
            for id_ in some:
                pipe.hset(_hash(id_), "ordinal", self._ordinals[id_])
            pipe.execute()
        between = self._used()
        for some in _portions(self._ordinals):
            pipe = self._redis.pipeline(transaction=False)
            for id_ in some:
                block, place = divmod(self._ordinals[id_], BLOCK_RECORDS)
                pipe.hset(f"ids:{{{ORG}}}:{OBJECT}:{block}", str(place), id_)
            pipe.execute()
        return (between - before) / count, (self._used() - between) / count

    def write_users(self, seen: Mapping[str, Sequence[str]]) -> Taken:
        """Write the users' records in each form."""
        memberships = sum(map(len, seen.values()))
        taken = []
        for write in (self._write_set, self._write_containers, self._write_serialised):
            before = self._used()
            for user, ids in seen.items():
                write(user, ids)
            taken.append((self._used() - before) / memberships)
        return Taken(*taken)

    def wrong_answers(self, questions: Sequence[tuple[str, str]]) -> list[str]:
        """Return where a way answers differently from the sets."""
        ways = {"one trip": self._ask_once, "two trips": self._ask_twice, "loaded": self._load}
        return [
            f"compact layout, {name}: {user} and {id_} is {ask(user, id_)}, otherwise than SISMEMBER"
            for user, id_ in questions
            for name, ask in ways.items()
            if ask(user, id_) is not self._ask_set(user, id_)
        ]

    def timed(self, questions: Sequence[tuple[str, str]]) -> Waited:
        """Ask in small batches, each way in turn, because the machine's speed varies."""
        ways: tuple[Ask, ...] = (self._ask_set, self._ask_once, self._ask_twice, self._load)
        clock, of_redis = [0] * len(ways), [0.0] * 2
        self._redis.config_resetstat()
        for batch in range(BATCHES):
            some = questions[batch * BATCH_QUESTIONS : (batch + 1) * BATCH_QUESTIONS]
            for which, ask in enumerate(ways):
                began = time.perf_counter_ns()
                for user, id_ in some:
                    ask(user, id_)
                clock[which] += time.perf_counter_ns() - began
        for which, (name, ask) in enumerate((("sismember", self._ask_set), ("evalsha", self._ask_once))):
            self._redis.config_resetstat()
            for user, id_ in questions:
                ask(user, id_)
            of_redis[which] = self._redis.info("commandstats")[f"cmdstat_{name}"]["usec_per_call"]
        asked = 1_000 * BATCHES * BATCH_QUESTIONS
        return Waited(clock[0] / asked, clock[1] / asked, clock[2] / asked, clock[3] / asked, of_redis[0], of_redis[1])

    # --- the forms ------------------------------------------------------------------------------

    def _write_set(self, user: str, ids: Sequence[str]) -> None:
        for some in _portions(ids):
            self._redis.sadd(visible_key(ORG, user, OBJECT), *some)

    def _write_containers(self, user: str, ids: Sequence[str]) -> None:
        prefix = container_prefix(user)
        for high, container in containers(self._ordinals[id_] for id_ in ids).items():
            self._redis.set(f"{prefix}:{high}", container)

    def _write_serialised(self, user: str, ids: Sequence[str]) -> None:
        by_partition: defaultdict[int, BitMap] = defaultdict(BitMap)
        for id_ in ids:
            by_partition[_partition(self._ordinals[id_])].add(self._ordinals[id_])
        for partition, members in by_partition.items():
            members.run_optimize()
            self._redis.set(_serialised_key(user, partition), members.serialize())

    def _ask_set(self, user: str, id_: str) -> bool:
        return bool(self._redis.sismember(visible_key(ORG, user, OBJECT), id_))

    def _ask_once(self, user: str, id_: str) -> bool:
        return bool(self._redis.evalsha(self._one_trip, 2, _hash(id_), container_prefix(user)))

    def _ask_twice(self, user: str, id_: str) -> bool:
        found = self._redis.hget(_hash(id_), "ordinal")
        if found is None:
            return False
        high, low = divmod(int(found), 1 << LOW_BITS)
        return bool(self._redis.evalsha(self._second_trip, 1, f"{container_prefix(user)}:{high}", low))

    def _load(self, user: str, id_: str) -> bool:
        found = self._redis.hget(_hash(id_), "ordinal")
        if found is None:
            return False
        loaded = self._redis.get(_serialised_key(user, _partition(int(found))))
        return loaded is not None and int(found) in BitMap.deserialize(loaded)

    def _used(self) -> int:
        return int(self._redis.info("memory")["used_memory"])


def _hash(id_: str) -> str:
    return record_hash_key(ORG, OBJECT, id_)


def _partition(ordinal: int) -> int:
    return ordinal >> (32 - PARTITION_BITS)


def _serialised_key(user: str, partition: int) -> str:
    return f"roaring:{{{ORG}:{user}}}:{OBJECT}:{partition}"


def _portions(ids: Iterable[str]) -> Iterator[list[str]]:
    listed = list(ids)
    for start in range(0, len(listed), SENT_AT_ONCE):
        yield listed[start : start + SENT_AT_ONCE]


def _questions(rng: random.Random, seen: Mapping[str, Sequence[str]], ids: Sequence[str]) -> list[tuple[str, str]]:
    """Return users and ids: the user sees every other one, and one in fifty is of no record."""
    users, found = list(seen), []
    for number in range(BATCHES * BATCH_QUESTIONS):
        user = rng.choice(users)
        id_ = rng.choice(seen[user] if number % 2 else ids)
        found.append((user, f"{id_}?" if number % 50 == 0 else id_))
    return found


# --- what is shown ----------------------------------------------------------------------------

COLUMNS = (
    "compact layout, users see", "sets", "containers", "and ordinals", "roaring",
    "SISMEMBER", "one trip", "two trips", "loaded", "SISMEMBER of Redis", "one trip of Redis",
)  # fmt: skip


def _figures(share: float, taken: Taken, ordinals: float, waited: Sequence[Waited]) -> list[Figure]:
    who = f"compact, {share:.0%} seen,"
    return [
        figure(f"{who} a membership", "B", [(taken.containers, taken.sets)], value_max=BYTES_MAX),
        figure(f"{who} with ordinals", "B", [(taken.containers + ordinals, taken.sets)], value_max=BYTES_MAX),
        figure(f"{who} one trip", "µs", [(one.one_trip, one.sismember) for one in waited], ratio_max=RATIO_MAX),
        figure(f"{who} two trips", "µs", [(one.two_trips, one.sismember) for one in waited], ratio_max=RATIO_MAX),
        figure(f"{who} one trip, of Redis", "µs", [(one.one_trip_of_redis, one.sismember_of_redis) for one in waited]),
    ]


def _row(share: float, taken: Taken, forth: float, back: float, waited: Sequence[Waited]) -> tuple[str, ...]:
    bytes_each = (taken.sets, taken.containers, taken.containers + (forth + back) / READERS, taken.serialised)
    return (
        f"{share:.0%} of the records",
        *(f"{each:.2f} B" for each in bytes_each),
        *(f"{median(each):.1f} µs" for each in zip(*waited, strict=True)),
    )
