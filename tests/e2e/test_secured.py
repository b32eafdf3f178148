"""TLS, credentials and least rights everywhere: the whole house under them, and what one sees where they are wrong."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from aiokafka.errors import GroupAuthorizationFailedError
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from territory_admin.log.topic_reader import started
from territory_control.local.embedded_broker import HOST, free_ports
from territory_runtime.health import Health
from territory_runtime.kafka.clients import group_admin
from territory_runtime.retry import KAFKA_AWAY, retry_while_unavailable
from territory_runtime.settings import read_settings
from tests.e2e.test_faults import MODEL, ORG, histories
from tests.support.certificates import Certificates, make_certificates
from tests.support.house import SERVICES, House, command_of, compare
from tests.support.oracle import expected
from tests.support.servers import KafkaServer, RedisServer, find_kafka_of_jars, kafka_jars, needed, program

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
USERS = ("assigner", "access-indexer", "forecast-aggregator", "operator", "reader")
SECURED = "SECURED"
CHANGES = 600
START_SECONDS_MAX = 60


def password_of(user: str) -> str:
    """Return a password that stands in no log by chance."""
    return f"{user}-5ecret"


class Secured(NamedTuple):
    """Where a Kafka and a Redis with TLS, users and rights are."""

    bootstrap_servers: str
    redis_url: str
    certificates: Certificates

    def settings(self, user: str) -> dict[str, str]:
        """Return the settings of a user, by their TERRITORY_ names."""
        return {
            "TERRITORY_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "TERRITORY_KAFKA_PARTITIONS": "4",
            "TERRITORY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "TERRITORY_KAFKA_SASL_USERNAME": user,
            "TERRITORY_KAFKA_SASL_PASSWORD": password_of(user),
            "TERRITORY_KAFKA_SSL_CAFILE": str(self.certificates.authority),
            "TERRITORY_REDIS_URL": self.redis_url,
            "TERRITORY_METRICS_PORT": "0",
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Give servers that let nobody in without TLS and a password, with the rights that deploy/ writes down."""
    needed("kafka", find_kafka_of_jars())
    program("redis", "redis-server")
    folder = tmp_path_factory.mktemp("secured")
    certificates = make_certificates(folder / "certificates")
    kafka_port, redis_port = free_ports(2)
    with (
        pytest.MonkeyPatch.context() as patch,
        KafkaServer(
            folder / "kafka", kafka_jars(), kafka_properties(certificates), [f"{SECURED}://{HOST}:{kafka_port}"]
        ) as kafka,
        ExitStack() as stack,
    ):
        for user in ("operator", "writer", "reader", "exporter"):
            patch.setenv(f"{user.upper()}_PASSWORD", password_of(user))
        patch.setenv("USERS_FILE", str(ROOT / "deploy" / "redis" / "users.acl"))
        patch.setenv("FILLED_FILE", str(folder / "territory.acl"))
        stack.enter_context(secured_redis(folder / "redis", redis_port, certificates))
        provide_users(kafka)
        give_rights(kafka)
        url = f"rediss://territory-writer:{password_of('writer')}@{HOST}:{redis_port}/0"
        yield Secured(f"{HOST}:{kafka_port}", f"{url}?ssl_ca_certs={certificates.authority}", certificates)


def kafka_properties(certificates: Certificates) -> dict[str, str]:
    """Return what a broker needs for a listener with TLS and SCRAM, and rights for who comes by it."""
    mechanism, prefix = "SCRAM-SHA-512", f"listener.name.{SECURED.lower()}"
    return {
        "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,{SECURED}:SASL_SSL",
        "inter.broker.listener.name": "PLAINTEXT",
        f"{prefix}.sasl.enabled.mechanisms": mechanism,
        f"{prefix}.{mechanism.lower()}.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        f"{prefix}.ssl.keystore.type": "PEM",
        f"{prefix}.ssl.keystore.location": str(certificates.both),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # who comes by the listener inside
    }


def provide_users(kafka: KafkaServer) -> None:
    """Make the users, each with its password."""
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)) as admin:
        admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password_of(user)) for user in USERS]
        )


def give_rights(kafka: KafkaServer) -> None:
    """Run deploy/kafka/acls.sh with what stands for the tool that Kafka brings along."""
    acls = f"{sys.executable} -m tests.support.kafka_acls --bootstrap-server {kafka.bootstrap_servers}"
    done = subprocess.run(
        (ROOT / "deploy" / "kafka" / "acls.sh",),
        env={**os.environ, "KAFKA_ACLS": acls},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def secured_redis(folder: Path, port: int, certificates: Certificates) -> RedisServer:
    """Return a Redis that speaks TLS alone, with the users of deploy/redis; not started."""
    options = (
        *("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificates.certificate), "--tls-key-file", str(certificates.key)),
        *("--tls-ca-cert-file", str(certificates.authority)),
    )

    def answers(host: str, _: int) -> bool:
        client = redis.Redis(
            host, port, username="operator", password=password_of("operator"),
            ssl=True, ssl_ca_certs=str(certificates.authority),
        )  # fmt: skip
        with closing(client):
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    return RedisServer(folder, str(ROOT / "deploy" / "redis" / "start.sh"), options, answers)


def command_under(service: str, worker: int) -> tuple[str, ...]:
    """Return the command that runs a service as its own user of Kafka."""
    user = service.replace("_", "-")
    credentials = (f"TERRITORY_KAFKA_SASL_USERNAME={user}", f"TERRITORY_KAFKA_SASL_PASSWORD={password_of(user)}")
    return ("env", *credentials, *command_of(service, worker))


def test_everything_works_under_least_rights(secured: Secured, tmp_path: Path) -> None:
    """Each service as its own user, by TLS alone: the end state is the oracle's, and no log has a password."""
    given = {name.removeprefix("TERRITORY_").lower(): value for name, value in secured.settings("operator").items()}
    servers, url = given.pop("kafka_bootstrap_servers"), given.pop("redis_url")
    house = House(servers, url, tmp_path, command_under, **given)
    changes = histories(seed=11)
    history = [next(changes) for _ in range(CHANGES)]
    try:
        house.start_all()
        house.apply(MODEL)
        house.publish(history)
        house.wait()
        assert compare(house.found(ORG), ORG, expected({ORG: MODEL}, history)) == []
    finally:
        house.stop_all()
    for service in SERVICES:
        assert "5ecret" not in house.log_of(service)


def test_a_reader_has_groups_of_its_own(secured: Secured) -> None:
    """Those that begin with its name, as a consumer with a group.id needs; no others."""

    async def offsets_of(group: str) -> Mapping[Any, Any]:
        async with started(group_admin(read_settings(secured.settings("reader")))) as admin:
            ask = partial(admin.list_consumer_group_offsets, group)
            found: Mapping[Any, Any] = await retry_while_unavailable("reader", Health(), KAFKA_AWAY, ask)
            return found

    assert asyncio.run(offsets_of("reader-cache")) == {}
    with pytest.raises(GroupAuthorizationFailedError):
        asyncio.run(offsets_of("cache"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"TERRITORY_KAFKA_SASL_PASSWORD": "an0ther"}, "TERRITORY_KAFKA_SASL"),
        ({"TERRITORY_KAFKA_SASL_USERNAME": "nobody"}, "TERRITORY_KAFKA_SASL"),
        ({"TERRITORY_KAFKA_SASL_USERNAME": None, "TERRITORY_KAFKA_SASL_PASSWORD": None}, "TERRITORY_KAFKA_SASL"),
        ({"TERRITORY_KAFKA_SSL_CAFILE": None}, "TERRITORY_KAFKA_SSL_CAFILE"),
        ({"TERRITORY_KAFKA_SSL_CAFILE": "/no/such/file"}, "TERRITORY_KAFKA_SSL_CAFILE"),
        ({"TERRITORY_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, "TERRITORY_KAFKA_SECURITY_PROTOCOL"),
        ({"TERRITORY_REDIS_URL": "rediss://territory-writer:an0ther@{}"}, "TERRITORY_REDIS_URL"),
        ({"TERRITORY_REDIS_URL": "redis://territory-writer:5ecret@{}"}, "TERRITORY_REDIS_URL"),
        ({"TERRITORY_REDIS_URL": "redis://territory-writer:5ecret@{}", "QUERY": None}, "TERRITORY_REDIS_URL"),
    ],
    ids=["wrong password", "unknown user", "no credentials", "unknown authority", "no such file", "no TLS",
         "wrong password of Redis", "options of TLS without it", "no TLS to Redis"],
)  # fmt: skip
def test_who_is_not_let_in_is_told_in_one_line(secured: Secured, wrong: Mapping[str, str | None], said: str) -> None:
    """One clear line names the setting; the service ends; no password is in it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TERRITORY_")}
    environment |= secured.settings("access-indexer")
    redis_place = secured.redis_url.partition("@")[2]
    for name, value in wrong.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value.format(redis_place if "QUERY" not in wrong else redis_place.partition("?")[0])
    done = subprocess.run(
        (sys.executable, "-m", "access_indexer"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    fault: dict[str, Any] = line
    assert fault["event"] == "startup failed"
    assert said in fault["fault"]
    assert not {"5ecret", "an0ther"} & set(json.dumps(fault).replace("-", " ").replace(":", " ").split())
