"""Reading a compacted topic back into a fold's memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from aiokafka import TopicPartition

from territory.errors import BadMessage
from territory.stage import Fold
from territory_runtime.gc_tuning import gc_paused
from territory_runtime.kafka import clients
from territory_runtime.kafka.topic_admin import COMPACTION_LAG_MS
from territory_runtime.loop.decoding import decode_message
from territory_runtime.loop.stage import Reader, Stage
from territory_runtime.settings import Settings

FETCHED_RECORDS_MAX = 5_000


async def restore_topic(
    settings: Settings,
    fold: Fold,
    where: TopicPartition,
    read: Reader,
    *,
    up_to: int | None,
    beat: Callable[[], None],
) -> bool:
    """Feed a compacted topic to a fold, up to an offset or its end.

    Returns whether nothing can be missing from it. Compaction leaves what a message replaces
    alone for a day. Where the next message is older than half of that, its predecessors may be
    gone, and with them the knowledge of effects that were made of them.
    """
    consumer = clients.reader(settings)
    await consumer.start()
    try:
        consumer.assign([where])
        end = (await consumer.end_offsets([where]))[where]
        stop = end if up_to is None else min(up_to, end)
        await consumer.seek_to_beginning(where)
        while await consumer.position(where) < end:
            found = await consumer.getmany(where, timeout_ms=500, max_records=FETCHED_RECORDS_MAX)
            with gc_paused():
                for message in found.get(where, ()):
                    if message.offset >= stop:
                        age_ms = time.time() * 1000 - int(message.timestamp)
                        return age_ms < COMPACTION_LAG_MS / 2
                    try:
                        fold.restore(decode_message(message, read))
                    except BadMessage:
                        continue  # it went to the dead letters in its time
            beat()
        return True
    finally:
        await consumer.stop()


async def restore_fold(
    settings: Settings, stage: Stage, fold: Fold, number: int, offsets: Mapping[str, int], *, beat: Callable[[], None]
) -> bool:
    """Fill a fold's memory of a partition: what its stage keeps, then its state up to the committed offsets or its end.

    Returns whether nothing can be missing from the state.
    """
    if stage.keeps is not None:
        topic, read = stage.keeps
        await restore_topic(settings, fold, TopicPartition(topic.name, number), read, up_to=None, beat=beat)
    topic, read = stage.state
    up_to = offsets[topic.name] if stage.restores_from_input else None
    return await restore_topic(settings, fold, TopicPartition(topic.name, number), read, up_to=up_to, beat=beat)
