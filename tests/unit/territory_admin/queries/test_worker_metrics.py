from __future__ import annotations

import socket
import threading

from territory_admin.queries.worker_metrics import MetricsPage, fetch_page, fetch_pages, quantile, summarise
from territory_control.local.embedded_broker import free_ports
from tests.unit.territory_admin.queries.examples import page, page_of, serving

INF = float("inf")


def test_quantiles_are_those_of_prometheus() -> None:
    """Observations are spread evenly within a bucket; above the last bound that bound counts; none has no quantile."""
    assert quantile([], 0.5) is None
    assert quantile([(1.0, 0.0), (INF, 0.0)], 0.5) is None
    assert quantile([(1.0, 10.0), (2.0, 20.0), (INF, 20.0)], 0.5) == 1.0
    assert quantile([(1.0, 10.0), (2.0, 20.0), (INF, 20.0)], 0.75) == 1.5
    assert quantile([(1.0, 1.0), (INF, 20.0)], 0.99) == 1.0


def test_the_status_of_a_worker() -> None:
    """Lag, partitions, records and readiness are read from one page; a rate needs two."""
    [one] = summarise([page()], (), 1_060.0).workers
    assert (one.stages, one.ready, one.waiting, one.waited_seconds) == (("access-indexer",), True, 12, 3.5)
    assert (one.partitions, one.restoring, one.records, one.memory_bytes) == (4, 1, 5000, 80_000_000)
    assert one.taken_per_second is None
    [one] = summarise([page(at=2.0, taken=300)], [page()], 1_060.0).workers
    assert one.taken_per_second == 100.0


def test_latencies_are_those_since_the_last_look() -> None:
    """Slow changes before the last look do not count."""
    first = summarise([page(fast=0, slow=50)], (), 1_060.0)
    assert first.visible_p50_seconds is not None
    assert first.visible_p50_seconds > 1
    later = summarise([page(fast=100, slow=50)], [page(fast=0, slow=50)], 1_060.0)
    assert later.visible_p99_seconds is not None
    assert later.visible_p99_seconds < 0.1
    assert later.revocation_p99_seconds is None


def test_a_restarted_worker_counts_from_zero() -> None:
    """Its counters are lower than before: no rate and no count is negative."""
    seen = summarise([page(at=2.0, taken=5, fast=3, slow=0)], [page(taken=500)], 1_060.0)
    assert seen.workers[0].taken_per_second == 0.0
    assert seen.visible_p99_seconds is not None
    assert seen.visible_p99_seconds < 0.1


def test_workers_that_use_different_models_are_noticed() -> None:
    """The positions on the model topic of all workers that answer are compared."""
    assert summarise([page("a:1"), page("b:1")], (), 1_060.0).is_model_everywhere
    assert not summarise([page("a:1"), page("b:1", position=9)], (), 1_060.0).is_model_everywhere
    gone = MetricsPage("b:1", 0.0, {}, "refused")
    assert summarise([page("a:1"), gone], (), 1_060.0).is_model_everywhere
    assert summarise([gone], (), 1_060.0).model_age_seconds is None


def test_a_worker_that_does_not_answer_is_reported() -> None:
    """The page of another worker is read all the same."""
    [nobody] = free_ports(1)
    with serving(page_of()) as address:
        found = fetch_pages([address, f"127.0.0.1:{nobody}"])
    assert [one.fault is None for one in found] == [True, False]


def test_a_page_that_is_not_metrics_is_reported() -> None:
    """Another program may listen on the port."""
    with serving("<html>{") as address:
        assert fetch_page(address).fault is not None


def test_a_server_that_does_not_speak_http_is_reported() -> None:
    """Redis is one: its port is easily mistaken for a worker's."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"-ERR unknown command\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert fetch_page(f"127.0.0.1:{server.getsockname()[1]}").fault is not None
        thread.join()
