"""Prometheus scrapes the real services: what rules and dashboards ask is there, and labels are bounded."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import redis as redis_py
import yaml
from prometheus_client.parser import text_string_to_metric_families

from territory_admin.queries import worker_metrics as top
from territory_control.local.child_process import ChildProcess, until
from territory_control.local.embedded_broker import HOST, free_ports
from tests.e2e.conftest import EMBEDDED_FETCH_PAUSE_SECONDS
from tests.support.house import SERVICES, House
from tests.support.metrics_page import STAGES, values_of
from tests.support.servers import embedded_server, find_redis, program, serving
from tests.support.watched import PROMETHEUS, Asked, alerts, names_in, of_dashboards, recordings

START_SECONDS = 60.0
SEEN_SECONDS = 30.0
ORG = "watched"
COUNTED = (
    "territory_ready",
    "territory_model_position",
    "territory_model_activated_timestamp_seconds",
    "territory_restore_seconds_count",
    "territory_turn_records_count",
    "territory_producer_seconds_count",
    "territory_redis_seconds_count",
    "territory_messages_sent_total",
    "territory_partitions",
    "territory_dead_letters_total",
    'territory_event_to_visible_seconds_count{job="access-indexer"}',
    'territory_revocation_seconds_count{job="access-indexer"}',
    'territory_index_compared_total{job="access-indexer"}',
)
"""After records that come, change hands and are refused, all of these have counted something in every series."""
MODEL: dict[str, Any] = {
    "org": ORG,
    "currency": "USD",
    "fields": {"account": {"country": "text"}},
    "stages": {"Won": {"category": "won"}},
    "roles": [{"id": "ceo"}],
    "users": [{"id": "u1", "name": "Ann", "role": "ceo"}, {"id": "u2", "name": "Bo", "role": "ceo"}],
    "territories": [
        {"id": "world", "name": "World"},
        {"id": "us", "name": "US", "parent": "world", "users": ["u2"],
         "rules": {"account": {"field": "country", "eq": "US"}}},
    ],
    "targets": [{"territory": "us", "period": "2017-Q1", "amount": "1000"}],
}  # fmt: skip


def changes(version: int, country: str) -> Iterator[dict[str, Any]]:
    """Yield an account and its deal; the account's country decides whether u2 sees it."""
    common = {
        "org_id": ORG,
        "version": version,
        "op": "upsert",
        "occurred_at": "2026-11-22T10:00:00Z",
        "owner_id": "u1",
    }
    yield {**common, "event_id": f"a{version}", "object": "account", "id": "A", "fields": {"country": country}}
    unread = {"country": ["no text"]}
    yield {**common, "event_id": f"c{version}", "object": "account", "id": "C", "fields": unread}
    fields = {"amount": "10", "currency": "USD", "stage": "Won", "close_date": "2017-02-01"}
    yield {**common, "event_id": f"d{version}", "object": "deal", "id": "D", "account_id": "A", "fields": fields}


class Watching:
    """A Prometheus with the rules that are shipped, every second instead of every fifteen."""

    def __init__(self, binary: str, folder: Path, targets: dict[str, list[str]]) -> None:
        [self._port] = free_ports(1)
        shutil.copytree(PROMETHEUS, folder)
        configuration = folder / "prometheus.yml"
        content = yaml.safe_load(configuration.read_text())
        content["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        configuration.write_text(yaml.safe_dump(content))
        listed = [{"labels": {"job": job}, "targets": addresses} for job, addresses in targets.items()]
        (folder / "targets" / "territory.yml").write_text(yaml.safe_dump(listed))
        command = (
            *(binary, f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}"),
            f"--web.listen-address={HOST}:{self._port}",
        )
        self._process = ChildProcess("Prometheus", command, folder / "prometheus.log")

    def start(self) -> None:
        """Start it. Raises: StackFailed."""
        self._process.start(lambda: bool(self._get("query", query="vector(1)")), START_SECONDS)

    def close(self) -> None:
        """End it."""
        self._process.stop(START_SECONDS)

    def ask(self, expression: str) -> list[Any]:
        """Return the series that an expression gives now. Raises: AssertionError with what is wrong with it."""
        found: list[Any] = self._get("query", query=expression)["result"]
        return found

    def _get(self, page: str, **query: str) -> Any:
        try:
            with urlopen(f"http://{HOST}:{self._port}/api/v1/{page}?{urlencode(query)}", timeout=5) as answer:
                return json.load(answer)["data"]
        except HTTPError as refused:
            if refused.code != 400:
                return None  # not started yet
            raise AssertionError(refused.read().decode()) from refused
        except OSError:
            return None


@contextmanager
def exporting(binary: str, redis_url: str, folder: Path) -> Iterator[str]:
    """Give the address of a redis_exporter."""
    [port] = free_ports(1)
    command = (binary, "-redis.addr", redis_url, "-web.listen-address", f"{HOST}:{port}")
    process = ChildProcess("redis_exporter", command, folder / "redis_exporter.log")
    process.start(lambda: _answers(port), START_SECONDS)
    try:
        yield f"{HOST}:{port}"
    finally:
        process.stop(START_SECONDS)


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://{HOST}:{port}/metrics", timeout=2):
            return True
    except OSError:
        return False


@pytest.mark.embedded
def test_rules_and_dashboards_ask_for_what_the_services_say(tmp_path: Path) -> None:
    """Every recording and every panel gives data; what an alert reads is there; labels have known values alone."""
    prometheus = program("prometheus", "prometheus")
    exporter = program("prometheus", "prometheus-redis-exporter")
    with ExitStack() as stack:
        broker = stack.enter_context(embedded_server(tmp_path / "embedded"))
        redis = stack.enter_context(serving("redis", find_redis(), tmp_path / "redis"))
        with redis_py.Redis.from_url(redis.url) as client:
            client.config_set("maxmemory", "1gb")
        house = House(
            broker.bootstrap_servers, redis.url, tmp_path / "house",
            kafka_fetch_pause_seconds=EMBEDDED_FETCH_PAUSE_SECONDS, verify_records_per_second=500,
        )  # fmt: skip
        stack.callback(house.stop_all)
        house.start_all()
        address = stack.enter_context(exporting(exporter, redis.url, tmp_path))
        targets = {service.replace("_", "-"): [house.address(service)] for service in SERVICES}
        watching = stack.enter_context(
            closing(Watching(prometheus, tmp_path / "prometheus", {**targets, "redis": [address]}))
        )
        watching.start()
        house.apply(MODEL)
        house.publish(changes(1, "US"))
        house.publish_raw(f"{ORG}/account/B", b"no JSON")
        house.wait()
        house.publish(changes(2, "DE"))  # u2 sees them no more
        house.publish(changes(2, "DE"))  # stale
        house.wait()
        asked = [
            *(Asked(rule["record"], rule["expr"]) for rule in recordings()),
            *(Asked(rule["record"], rule["record"]) for rule in recordings()),
            *of_dashboards(),
            *(Asked(rule["alert"], name) for rule in alerts() for name in names_in(rule["expr"])),
        ]
        unanswered: list[Asked] = asked

        def all_answered() -> bool:
            nonlocal unanswered
            unanswered = [one for one in unanswered if not watching.ask(one.expression)]
            return not unanswered

        until(all_answered, SEEN_SECONDS)
        assert not unanswered, "\n".join(map(str, unanswered))
        for rule in alerts():
            watching.ask(rule["expr"])  # it can be computed
        for counted in COUNTED:
            assert all(float(series["value"][1]) > 0 for series in watching.ask(counted)), counted
        for service in SERVICES:
            _require_known_labels(house.page(service, "metrics")[1])
        _require_top([house.address(service) for service in SERVICES])


def _require_top(workers: list[str]) -> None:
    """`territory top` reads the same pages."""
    seen = top.summarise(top.fetch_pages(workers), (), time.time())
    assert all(one.fault is None and one.ready and one.partitions for one in seen.workers)
    assert {stage for one in seen.workers for stage in one.stages} == STAGES
    assert (seen.refused, seen.wrong_entries, seen.model_revision, seen.is_model_everywhere) == (1, 0, 1, True)
    assert seen.visible_p99_seconds is not None
    assert seen.revocation_p99_seconds is not None
    assert seen.model_age_seconds is not None


def _require_known_labels(page: str) -> None:
    """Every value of every label of ours is on the page of metrics (no ids as labels)."""
    seen = 0
    for family in text_string_to_metric_families(page):
        if not family.name.startswith("territory_"):
            continue
        for sample in family.samples:
            for label, value in sample.labels.items():
                if label != "le":
                    allowed = values_of(label, family.name)
                    assert allowed is not None, sample
                    assert value in allowed or (label == "field" and value in MODEL["fields"]["account"]), sample
                    seen += 1
    assert seen
