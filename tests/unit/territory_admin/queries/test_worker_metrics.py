"""`territory top`: numbers of pages, and their view."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from rich.console import Console

from territory_admin.queries.worker_metrics import Page, look, look_at, now, quantile, samples_of
from territory_control.__main__ import main
from territory_control.local.embedded_broker import free_ports
from territory_control.views.top import workers as workers_view

INF = float("inf")
SECONDS_MAX = 60.0


def page_of(*, taken: int = 100, fast: int = 90, slow: int = 10, position: int = 7, ready: int = 1) -> str:
    """Return a page as a worker of the access indexer writes it."""
    return f"""# TYPE territory_events_total counter
territory_events_total{{topic="territory.assignments.v1",outcome="taken"}} {taken}
territory_events_total{{topic="territory.assignments.v1",outcome="refused"}} 2
# TYPE territory_event_to_visible_seconds histogram
territory_event_to_visible_seconds_bucket{{le="0.1"}} {fast}
territory_event_to_visible_seconds_bucket{{le="1.0"}} {fast}
territory_event_to_visible_seconds_bucket{{le="2.5"}} {fast + slow}
territory_event_to_visible_seconds_bucket{{le="+Inf"}} {fast + slow}
# TYPE territory_lag_records gauge
territory_lag_records{{topic="territory.assignments.v1"}} 12
# TYPE territory_lag_seconds gauge
territory_lag_seconds{{topic="territory.assignments.v1"}} 3.5
# TYPE territory_partitions gauge
territory_partitions{{stage="access-indexer"}} 4
# TYPE territory_restoring_partitions gauge
territory_restoring_partitions{{stage="access-indexer"}} 1
# TYPE territory_records gauge
territory_records{{stage="access-indexer"}} 5000
# TYPE territory_ready gauge
territory_ready {ready}
# TYPE territory_model_revision gauge
territory_model_revision 3
# TYPE territory_model_position gauge
territory_model_position {position}
# TYPE territory_model_activated_timestamp_seconds gauge
territory_model_activated_timestamp_seconds 1000
# TYPE territory_index_drift_total counter
territory_index_drift_total{{kind="extra_member"}} 1
# TYPE territory_forecast_drift_total counter
territory_forecast_drift_total{{kind="deal"}} 3
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 80000000
"""


def page(worker: str = "a:1", at: float = 0.0, **said: int) -> Page:
    return Page(worker, at, samples_of(page_of(**said)))


@contextmanager
def serving(text: str) -> Iterator[str]:
    """Give the address of a page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def text_of(*pages: Page, before: tuple[Page, ...] = (), unix_seconds: float = 1_060.0) -> str:
    console = Console(width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123 -- what is recorded counts
    with console.file:
        console.print(workers_view(now(pages, before, unix_seconds)))
        return console.export_text()


def test_quantiles_are_those_of_prometheus() -> None:
    """Evenly spread within a bucket; above the last bound that bound; of nothing none."""
    assert quantile([], 0.5) is None
    assert quantile([(1.0, 0.0), (INF, 0.0)], 0.5) is None
    assert quantile([(1.0, 10.0), (2.0, 20.0), (INF, 20.0)], 0.5) == 1.0
    assert quantile([(1.0, 10.0), (2.0, 20.0), (INF, 20.0)], 0.75) == 1.5
    assert quantile([(1.0, 1.0), (INF, 20.0)], 0.99) == 1.0


def test_the_numbers_of_a_worker() -> None:
    """What waits, what it has, and whether it is ready; a rate needs two looks."""
    [one] = now([page()], (), 1_060.0).workers
    assert (one.stages, one.ready, one.waiting, one.waited_seconds) == (("access-indexer",), True, 12, 3.5)
    assert (one.partitions, one.restoring, one.records, one.memory_bytes) == (4, 1, 5000, 80_000_000)
    assert one.taken_per_second is None
    [one] = now([page(at=2.0, taken=300)], [page()], 1_060.0).workers
    assert one.taken_per_second == 100.0


def test_times_are_of_what_came_since_the_last_look() -> None:
    """All was slow before, and nothing is now."""
    first = now([page(fast=0, slow=50)], (), 1_060.0)
    assert first.visible_p50_seconds is not None
    assert first.visible_p50_seconds > 1
    later = now([page(fast=100, slow=50)], [page(fast=0, slow=50)], 1_060.0)
    assert later.visible_p99_seconds is not None
    assert later.visible_p99_seconds < 0.1
    assert later.revocation_p99_seconds is None


def test_a_worker_that_was_started_again_counts_from_nothing() -> None:
    """Its counters are less than before: no negative rate, no negative count."""
    seen = now([page(at=2.0, taken=5, fast=3, slow=0)], [page(taken=500)], 1_060.0)
    assert seen.workers[0].taken_per_second == 0.0
    assert seen.visible_p99_seconds is not None
    assert seen.visible_p99_seconds < 0.1


def test_models_are_the_same_everywhere_or_not() -> None:
    """The position on the model topic tells, of those that answer."""
    assert now([page("a:1"), page("b:1")], (), 1_060.0).is_model_everywhere
    assert not now([page("a:1"), page("b:1", position=9)], (), 1_060.0).is_model_everywhere
    gone = Page("b:1", 0.0, {}, "refused")
    assert now([page("a:1"), gone], (), 1_060.0).is_model_everywhere
    assert now([gone], (), 1_060.0).model_age_seconds is None


def test_the_view_says_it_all() -> None:
    """Freshness, refusals, drift, model, and a line for each worker, answering or not."""
    text = text_of(page(), page("b:1", ready=0), Page("c:1", 0.0, {}, "Connection refused"))
    assert "p99 2.4 s" in text
    assert "refused messages: 4   wrong index entries: 2   wrong sums: 6   model: revision 3, 60 s old" in text
    assert "not ready, 1 restoring" in text
    assert "no answer: Connection refused" in text
    assert "everywhere" not in text
    assert "3 h old" in text_of(page(), unix_seconds=11_800)


def test_pages_are_asked_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not answer is said to, and holds up nobody; with `--json` it is data, exit 0 if any answers."""
    monkeypatch.setenv("COLUMNS", "160")
    [nobody] = free_ports(1)
    with serving(page_of()) as address:
        found = look_at([address, f"127.0.0.1:{nobody}"])
        assert [one.fault is None for one in found] == [True, False]
        arguments = ["top", "--json", "--worker", address, "--worker", f"127.0.0.1:{nobody}"]
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["refused"], said["model_revision"]) == (2, 3)
    assert [one["fault"] is None for one in said["workers"]] == [True, False]
    with pytest.raises(SystemExit) as ended:
        main(["top", "--once", "--worker", f"127.0.0.1:{nobody}"])
    assert ended.value.code == 1
    assert "no answer" in capsys.readouterr().out


def test_what_is_no_page_of_metrics_is_said() -> None:
    """Another program listens there."""
    with serving("<html>{") as address:
        assert look(address).fault is not None


def test_what_speaks_no_http_is_said() -> None:
    """As Redis does, whose port is easily taken for a worker's."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"-ERR unknown command\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert look(f"127.0.0.1:{server.getsockname()[1]}").fault is not None
        thread.join()


def test_control_c_ends_it_quietly() -> None:
    """On a terminal it goes on until interrupted; then exit 0, and no traceback."""
    ours, theirs = pty.openpty()
    with serving(page_of()) as address:
        command = (sys.executable, "-m", "territory_control", "top", "--every", "0.1", "--worker", address)
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
        with (
            subprocess.Popen(
                command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment,
                preexec_fn=_heed_interrupts,  # noqa: PLW1509 -- no thread here holds what it would need
            ) as process,
            ended_after(process, SECONDS_MAX),
        ):  # fmt: skip
            os.close(theirs)
            seen = b""
            while seen.count(b"access-indexer") < 2:
                seen += os.read(ours, 4096)
            process.send_signal(signal.SIGINT)
            reading = threading.Thread(target=_drain, args=(ours,))
            reading.start()  # a full terminal would hold it up
            assert process.stderr is not None
            assert process.stderr.read() == b""
            assert process.wait(30) == 0
            reading.join()
    os.close(ours)


def _heed_interrupts() -> None:
    """Be as one that a terminal starts: what runs the tests may itself be deaf to interrupts, and that is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def ended_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    """End a process that is still there after so many seconds: the test fails then, and does not wait for ever."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        pass  # nobody has it open any more
