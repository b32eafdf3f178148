"""`territory top`: the view, and the command on a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from territory_admin.queries.worker_metrics import MetricsPage, summarise
from territory_control.__main__ import main
from territory_control.local.embedded_broker import free_ports
from territory_control.views.top import workers
from tests.unit.territory_admin.queries.examples import page, page_of, serving

SECONDS_MAX = 60.0


def text_of(*pages: MetricsPage, before: tuple[MetricsPage, ...] = (), unix_seconds: float = 1_060.0) -> str:
    console = Console(width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123 -- only the recording is read
    with console.file:
        console.print(workers(summarise(pages, before, unix_seconds)))
        return console.export_text()


def test_the_view_shows_all_workers() -> None:
    """It shows latencies, refusals, drift, the model, and a line for each worker, whether it answers or not."""
    text = text_of(page(), page("b:1", ready=0), MetricsPage("c:1", 0.0, {}, "Connection refused"))
    assert "p99 2.4 s" in text
    assert "refused messages: 4   wrong index entries: 2   wrong sums: 6   model: revision 3, 60 s old" in text
    assert "not ready, 1 restoring" in text
    assert "no answer: Connection refused" in text
    assert "everywhere" not in text
    assert "3 h old" in text_of(page(), unix_seconds=11_800)


def test_the_command_prints_the_status(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--json` the status is data; the exit code is 0 if any worker answers, else 1."""
    monkeypatch.setenv("COLUMNS", "160")
    [nobody] = free_ports(1)
    with serving(page_of()) as address:
        arguments = ["top", "--json", "--worker", address, "--worker", f"127.0.0.1:{nobody}"]
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    assert ended.value.code == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["refused"], status["model_revision"]) == (2, 3)
    assert [one["fault"] is None for one in status["workers"]] == [True, False]
    with pytest.raises(SystemExit) as ended:
        main(["top", "--once", "--worker", f"127.0.0.1:{nobody}"])
    assert ended.value.code == 1
    assert "no answer" in capsys.readouterr().out


def test_control_c_ends_the_view_quietly() -> None:
    """On a terminal it runs until it is interrupted; then it exits 0 without a traceback."""
    ours, theirs = pty.openpty()
    with serving(page_of()) as address:
        command = (sys.executable, "-m", "territory_control", "top", "--every", "0.1", "--worker", address)
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
        with (
            subprocess.Popen(
                command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment,
                preexec_fn=_heed_interrupts,  # noqa: PLW1509 -- no thread of this process holds a lock that the child needs
            ) as process,
            ended_after(process, SECONDS_MAX),
        ):  # fmt: skip
            os.close(theirs)
            seen = b""
            while seen.count(b"access-indexer") < 2:
                seen += os.read(ours, 4096)
            process.send_signal(signal.SIGINT)
            reading = threading.Thread(target=_drain, args=(ours,))
            reading.start()  # a full terminal buffer would block the command
            assert process.stderr is not None
            assert process.stderr.read() == b""
            assert process.wait(30) == 0
            reading.join()
    os.close(ours)


def _heed_interrupts() -> None:
    """React to SIGINT as a program started from a terminal: a child inherits it if the test runner ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def ended_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    """Kill a process that still runs after a while, so that the test fails instead of hanging."""
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
        pass  # the command has closed it
