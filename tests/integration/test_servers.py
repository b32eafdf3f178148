"""That the servers of these tests are what the other tests take them for."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from territory_admin.errors import StackFailed
from territory_control.local.child_process import until
from territory_control.local.embedded_broker import HOST, EmbeddedServer, redis_answers
from tests.support.servers import Kafka, embedded_server, find_kafka, serving

ENDED_SECONDS = 15.0


@pytest.fixture
def embedded(tmp_path: Path) -> EmbeddedServer:
    """Give an embedded server of the test's own, not started."""
    return embedded_server(tmp_path / "embedded")


def create_topic(bootstrap_servers: str, name: str, partitions: int = 1) -> None:
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap_servers)) as admin:
        admin.create_topics([NewTopic(name, partitions, 1, topic_configs={"cleanup.policy": "compact"})])


async def send(bootstrap_servers: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key=b"key", partition=0, headers=[("header", b"1")])
    finally:
        await producer.stop()


async def everything_in(bootstrap_servers: str, topic: str) -> list[bytes]:
    place = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        values: list[bytes] = []
        while await consumer.position(place) < end:
            batches = await consumer.getmany(place, timeout_ms=100)
            values += [message.value for batch in batches.values() for message in batch]
        return values
    finally:
        await consumer.stop()


@pytest.mark.kafka
def test_kafka_creates_topics_as_asked(kafka: Kafka, unique: str) -> None:
    """A topic has the partitions and the policy that it was created with."""
    create_topic(kafka.bootstrap_servers, unique, partitions=3)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)) as admin:
        (described,) = admin.describe_topics([unique])
        configs = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, unique)])
    assert len(described["partitions"]) == 3
    assert configs["topic"][unique]["cleanup.policy"]["value"] == "compact"


@pytest.mark.kafka
def test_kafka_creates_no_topic_by_itself(kafka: Kafka, unique: str) -> None:
    """A topic that is only named is not there: a forgotten `provision` must fail in a test."""
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)) as admin:
        (described,) = admin.describe_topics([unique])
        assert described["error_code"]
        assert unique not in admin.list_topics()


@pytest.mark.kafka
def test_kafka_keeps_what_it_acknowledged_when_it_is_killed(tmp_path: Path) -> None:
    """A message is there after kill -9 and a new start, at the same address."""
    with serving("kafka", find_kafka(), tmp_path / "kafka") as own:
        address = own.bootstrap_servers
        create_topic(address, "topic")
        asyncio.run(send(address, "topic", b"before"))
        own.kill()
        own.start()
        assert own.bootstrap_servers == address
        asyncio.run(send(address, "topic", b"after"))
        assert asyncio.run(everything_in(address, "topic")) == [b"before", b"after"]


def test_redis_keeps_sets(redis_url: str, unique: str) -> None:
    """What the access index stands on: SADD and SMISMEMBER."""
    with redis.Redis.from_url(redis_url) as client:
        client.sadd(unique, "a", "b")
        assert client.smismember(unique, ["a", "b", "c"]) == [1, 1, 0]


@pytest.mark.embedded
def test_embedded_keeps_everything_through_a_clean_stop(embedded: EmbeddedServer) -> None:
    """Messages and Redis' keys are there after a stop and a start, at the same address."""
    with embedded:
        create_topic(embedded.bootstrap_servers, "topic")
        asyncio.run(send(embedded.bootstrap_servers, "topic", b"kept"))
        with redis.Redis.from_url(embedded.redis_url) as client:
            client.set("key", "kept")
        embedded.stop()
        assert not embedded.running
        embedded.start()
        assert asyncio.run(everything_in(embedded.bootstrap_servers, "topic")) == [b"kept"]
        with redis.Redis.from_url(embedded.redis_url) as client:
            assert client.get("key") == b"kept"


@pytest.mark.embedded
def test_embedded_names_a_port_that_is_taken(embedded: EmbeddedServer, tmp_path: Path) -> None:
    """Two on one port: the second says which, and the first goes on."""
    with embedded:
        second = EmbeddedServer(tmp_path / "second", kafka_port=embedded.kafka_port)
        with pytest.raises(StackFailed, match=f"{embedded.kafka_port} for Kafka is taken"):
            second.start()
        assert not second.running
        assert embedded.running


@pytest.mark.embedded
def test_embedded_refuses_a_data_directory_in_use(embedded: EmbeddedServer) -> None:
    """Two on one data directory: the second quotes the server's own words."""
    with embedded:
        second = EmbeddedServer(embedded.data_dir)
        with pytest.raises(StackFailed, match="already running"):
            second.start()


@pytest.mark.embedded
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_embedded_ends_with_the_one_who_started_it(
    embedded: EmbeddedServer, tmp_path: Path, number: signal.Signals
) -> None:
    """A closed terminal or kill -9 leaves no server behind."""
    starts = (
        "import pathlib, sys, time\n"
        "from territory_control.local.embedded_broker import EmbeddedServer\n"
        "EmbeddedServer(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])).start()\n"
        "print('started', flush=True)\n"
        "time.sleep(60)\n"
    )
    ports = (str(embedded.kafka_port), str(embedded.redis_port))
    command = (sys.executable, "-c", starts, str(tmp_path / "orphan"), *ports)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        assert redis_answers(HOST, embedded.redis_port)
        starter.send_signal(number)
    assert until(lambda: not redis_answers(HOST, embedded.redis_port), ENDED_SECONDS)
