"""The command line on the embedded broker, from outside: each command is a process, as a newcomer would type it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from territory_control.local.child_process import until

pytestmark = pytest.mark.embedded

COMMAND = (sys.executable, "-m", "territory_control")
UP_SECONDS = 120.0
DOWN_SECONDS = 60.0
AT_ONCE_SECONDS = 20.0
"""Of a whole process on a busy machine, which would wait for minutes if it did not refuse at once."""
ORG = "acme"

MODEL: dict[str, Any] = {
    "org": ORG,
    "fields": {"account": {"country": "text"}, "deal": {"product": "text"}},
    "stages": {"Won": {"category": "won"}},
    "roles": [{"id": "ceo"}, {"id": "rep", "parent": "ceo"}],
    "users": [
        {"id": "ann", "name": "Ann", "role": "ceo"},
        {"id": "bob", "name": "Bob", "role": "rep"},
        {"id": "cleo", "name": "Cleo", "role": "rep"},
        {"id": "root", "name": "Root", "role": "ceo", "admin": True},
    ],
    "territories": [
        {"id": "world", "name": "World", "manager": "ann"},
        {"id": "west", "parent": "world", "users": ["bob"], "rules": {"account": {"field": "country", "eq": "US"}}},
        {"id": "east", "parent": "world", "users": ["cleo"], "rules": {"account": {"field": "country", "eq": "DE"}}},
    ],
    "targets": [{"territory": "west", "period": "2017-Q1", "amount": "200"}],
    "sharing": [{"id": "s1", "object": "deal", "criteria": {"field": "product", "eq": "GTX"}, "to": {"user": "cleo"}}],
}


@dataclass
class Up:
    """A running `territory up`."""

    process: subprocess.Popen[bytes]
    addresses: dict[str, Any]
    stderr: Path

    @property
    def environment(self) -> dict[str, str]:
        """The settings with which another terminal uses it."""
        return {
            "TERRITORY_KAFKA_BOOTSTRAP_SERVERS": self.addresses["kafka"],
            "TERRITORY_REDIS_URL": self.addresses["redis"],
            "TERRITORY_ORG_ID": ORG,
        }

    def run(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run one command against it."""
        return run(*arguments, given=given, **self.environment)

    def answer(self, *arguments: str, given: bytes = b"", code: int = 0) -> Any:
        """Run one command with `--json`, and return the data that it prints."""
        done = self.run(*arguments, "--json", given=given)
        assert done.returncode == code, done.stderr.decode()
        return json.loads(done.stdout)


def environment_with(**settings: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TERRITORY_")} | settings


def run(*arguments: str, given: bytes = b"", **settings: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        (*COMMAND, *arguments),
        input=given,
        capture_output=True,
        timeout=UP_SECONDS,
        check=False,
        env=environment_with(**settings),
    )


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Up]:
    """Run `territory up` while the block runs; its one line on stdout has the addresses."""
    folder.mkdir(exist_ok=True)
    stdout, stderr = folder / "stdout", folder / "stderr"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            (*COMMAND, "up", "--json", *arguments),
            stdout=out,
            stderr=err,
            env=environment_with(),
            start_new_session=True,
        )
    try:
        assert until(lambda: stdout.read_bytes().endswith(b"\n") or process.poll() is not None, UP_SECONDS)
        assert process.poll() is None, stderr.read_text()
        yield Up(process, json.loads(stdout.read_bytes()), stderr)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(DOWN_SECONDS)


def listens(address: str) -> bool:
    host, port = address.removeprefix("http://").removeprefix("redis://").split("/", 1)[0].rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def listening_addresses(up: Up) -> list[str]:
    return [address for address in (up.addresses["kafka"], up.addresses["redis"], *up.addresses["metrics"].values())
            if listens(address)]  # fmt: skip


def line(object_type: str, record_id: str, version: int, **more: Any) -> bytes:
    change = {
        "event_id": f"{object_type}-{record_id}-{version}", "org_id": ORG, "object": object_type, "id": record_id,
        "version": version, "op": "upsert", "occurred_at": "2017-01-01T00:00:00Z", **more,
    }  # fmt: skip
    return json.dumps(change).encode() + b"\n"


def test_the_demo_prints_the_figures_of_its_data(tmp_path: Path) -> None:
    """`territory demo --json` prints the figures of the real pipeline, and leaves no files behind.

    The figures were counted by hand (examples' README), and are counted from the CSV files in tests/unit/examples.
    """
    done = run("demo", "--json", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    assert {name: result[name] for name in ("records", "deals_won", "won_total", "deals_unassigned")} == {
        "records": 8885,
        "deals_won": 4238,
        "won_total": 10005534,
        "deals_unassigned": 1425,
    }
    assert result["accounts_assigned"] == 85
    assert result["left_out"] == {"no_close_date": 163, "unassigned": 1425}
    assert result["seconds"] > 0
    admin, manager, agent = result["users"]
    assert admin["reads"] is None
    assert (manager["reads"]["account"], agent["reads"]["account"]) == (76, 9)
    assert [link["territory_id"] for link in result["assignment"]["links"]] == [
        "key-accounts-technology",
        "us-technology",
    ]
    assert result["not_assigned"]["asked"]["outcome"] == "rule_failed"
    assert result["access"]["level"] == "edit"
    assert not result["access"]["index_is_behind"]
    assert list(tmp_path.iterdir()) == []


WON = {"amount": "150.5", "stage": "Won", "close_date": "2017-02-01"}
RECORDS_OF_A_DAY = (
    line("account", "A", 1, owner_id="bob", fields={"country": "US"})
    + line("account", "B", 1, owner_id="cleo", fields={"country": "BR"})
    + line("deal", "D", 1, owner_id="bob", account_id="A", fields=WON)
    + b"{nonsense\n"
    + line("deal", "E", 1, owner_id="bob", account_id="B", fields=WON)
)


def test_a_day_on_the_command_line(tmp_path: Path) -> None:
    """Every command works, with `--json` and without (contracts: command line)."""
    with running(tmp_path / "up") as up:
        an_empty_stack_answers(up)
        a_model_is_applied(up)
        records_are_published(up)
        records_are_listed(up, tmp_path)
        a_record_is_shown_and_explained(up)
        access_is_explained_and_listed(up)
        a_record_is_shared(up)
        attainments_are_shown(up)
        reports_agree_with_attainments(up)
        manual_links_take_effect(up)
        the_index_is_verified_repaired_and_rebuilt(up)
        the_model_is_written_back(up, tmp_path / "model.yaml")
        a_territory_is_removed(up)
        failures_are_one_line(up)
        results_are_text_without_json(up)
        refused_messages_are_sent_again(up)


def an_empty_stack_answers(up: Up) -> None:
    assert up.run("wait").returncode == 0
    assert up.run("show", "account/A").returncode == 1


def a_model_is_applied(up: Up) -> None:
    whole = json.dumps(MODEL).encode()
    applied = up.answer("apply", "-", given=whole)
    assert (applied["revision"], applied["activated"], applied["in_effect"]) == (1, True, True)
    assert up.answer("apply", "-", given=whole)["activated"] is False


def records_are_published(up: Up) -> None:
    published = up.answer("publish", "-", given=RECORDS_OF_A_DAY, code=1)
    assert (published["published"], published["refused"]) == (4, 1)
    assert [(refused["line"], refused["code"]) for refused in published["refusals"]] == [(4, "not_json")]
    assert published["unknown_owners"] == {}
    stray = up.answer("publish", "-", given=line("lead", "L-9", 1, owner_id="gone"))
    assert stray["unknown_owners"] == {f"{ORG}/gone": 1}
    assert up.answer("wait")["done"] is True


def records_are_listed(up: Up, folder: Path) -> None:
    """Records are listed by territory, by owner and without a territory, page by page and as files."""
    assert ids_of(up.answer("records", "--territory", "world")) == ["account/A", "deal/D"]
    assert up.answer("records", "--territory", "world", "--own")["total"] == 0
    assert ids_of(up.answer("records", "--owner", "bob")) == ["account/A", "deal/D", "deal/E"]
    first = up.answer("records", "--owner", "bob", "--limit", "2")
    assert (ids_of(first), first["total"], first["next"]) == (["account/A", "deal/D"], 3, "deal/D")
    assert ids_of(up.answer("records", "--owner", "bob", "--after", first["next"])) == ["deal/E"]
    assert ids_of(up.answer("records", "--owner", "gone", "--object", "lead")) == ["lead/L-9"]
    (left_out,) = up.answer("records", "--left-out")["records"]
    assert (left_out["id"], left_out["owner"], left_out["reason"]) == (
        "E",
        "Bob",
        "unassigned: its account B is in no territory",
    )
    assert ids_of(up.answer("records", "--unassigned")) == ["account/B", "lead/L-9", "deal/E"]
    listed = up.run("records", "--unassigned", "--object", "deal", "--format", "csv").stdout.decode()
    assert listed == ("object,id,owner_id,owner,territories,reason\ndeal,E,bob,Bob,,its account B is in no territory\n")
    book = folder / "records.xlsx"
    assert up.run("records", "--owner", "bob", "--format", "xlsx", "--output", str(book)).returncode == 0
    assert zipfile.is_zipfile(book)
    assert "more: --after deal/D" in up.run("records", "--owner", "bob", "--limit", "2").stdout.decode()


def ids_of(page: Any) -> list[str]:
    return [f"{each['object']}/{each['id']}" for each in page["records"]]


def a_record_is_shown_and_explained(up: Up) -> None:
    shown = up.answer("show", "account/A")
    assert (shown["owner_id"], shown["territories"], shown["viewers"]) == ("bob", ["west"], 3)
    assert shown["links"][0]["why"] == ["west: country eq US"]
    assert not shown["index_is_behind"]
    assert up.answer("show", "deal/E")["unassigned"] == "its account B is in no territory"
    asked = up.answer("explain", "assignment", "deal/D", "--territory", "east")["asked"]
    assert (asked["outcome"], asked["why"][1]) == (
        "not_candidate",
        "account A: its own rule does not hold: country eq DE: the record's value is us",
    )


def access_is_explained_and_listed(up: Up) -> None:
    access = up.answer("explain", "access", "ann", "account/A")
    assert (access["level"], len(access["paths"]), access["index"]["editable"]) == ("edit", 2, True)
    nobody = up.answer("explain", "access", "cleo", "account/A")
    assert (nobody["sees"], nobody["paths"], nobody["index"]["visible"]) == (False, [], False)
    assert up.answer("visible", "bob")["records"] == {"account": ["A"], "contact": [], "lead": [], "deal": ["D", "E"]}
    assert up.answer("visible", "bob", "--object", "deal", "--level", "edit")["records"] == {"deal": ["D", "E"]}
    assert up.answer("visible", "root")["admin"] is True
    viewers = up.answer("viewers", "account/A")["viewers"]
    assert {viewer["user_id"]: viewer["level"] for viewer in viewers} == dict.fromkeys(("ann", "bob", "root"), "edit")
    assert [path["how"] for path in viewers[1]["paths"]] == ["owner", "member of territory west"]


def a_record_is_shared(up: Up) -> None:
    """A sharing rule grants access: the path names it, and the index agrees (V6, V9)."""
    assert up.answer("explain", "access", "cleo", "deal/D")["sees"] is False
    up.answer(
        "publish", "-", given=line("deal", "D", 2, owner_id="bob", account_id="A", fields={**WON, "product": "gtx"})
    )
    up.answer("wait")
    shared = up.answer("explain", "access", "cleo", "deal/D")
    assert shared["paths"] == [{"how": "sharing rule s1 for user cleo", "level": "read"}]
    assert (shared["index"]["visible"], shared["index"]["editable"], shared["index_is_behind"]) == (True, False, False)
    assert up.answer("show", "deal/D")["viewers"] == 4
    assert "sharing rule s1 for user cleo (read)" in up.run("viewers", "deal/D").stdout.decode()


def attainments_are_shown(up: Up) -> None:
    rows = up.answer("attainment", "--territory", "west", "--period", "2017-Q1", "--users")
    assert [(row["user_id"], row["won"], row["attainment_pct"]) for row in rows] == [
        (None, "150.5", "75.25"),
        ("bob", "150.5", None),
    ]
    assert up.answer("attainment", "--period", "2017", "--territory", "world")[0]["won"] == "150.5"
    below = up.answer("attainment", "--period", "2017-Q1", "--territory", "world")
    assert [(row["territory_id"], row["won"]) for row in below] == [("world", "150.5"), ("west", "150.5")]
    assert up.answer("attainment", "--period", "2017-Q3") == []
    (today,) = up.answer("attainment", "--history", "--territory", "west", "--period", "2017-Q1")
    assert (today["won"], today["target"], today["attainment_pct"]) == ("150.5", "200", "75.25")


def reports_agree_with_attainments(up: Up) -> None:
    """Reports, counted from the log, have the same sums as the attainments in Redis (F1, F8, F13)."""
    every = {(row["territory_id"], row["period"]): row["won"] for row in up.answer("attainment")}
    attained = {place: won for place, won in every.items() if place[1] != "2017"}
    revenue = up.answer("report", "revenue")
    assert {(row["territory_id"], row["period"]): row["won"] for row in revenue["rows"]} == attained
    year = up.answer("report", "revenue", "--period", "2017")
    assert {(row["territory_id"], "2017"): row["won"] for row in year["rows"]} | attained == every
    assert (revenue["totals"], revenue["left_out"]) == ({"deals_won": 1, "won": "150.5"}, {"unassigned": 1})
    by = up.run("report", "custom", "--measure", "won", "--by", "product", "--by", "account.country", "--format", "csv")
    assert by.stdout.decode() == "product,account.country,won\ngtx,US,150.5\n"
    assert "1 deal left out, of any period: unassigned: 1" in by.stderr.decode()
    assert "targets: 1, reached: 0" in up.run("report", "star-performers", "--period", "2017-Q1").stdout.decode()


def manual_links_take_effect(up: Up) -> None:
    up.answer("link", "account/B", "east", "--assign")
    up.answer("link", "account/A", "west", "--exclude")
    up.answer("wait")
    assert up.answer("show", "account/B")["links"][0]["causes"] == ["manual"]
    assert up.answer("show", "deal/E")["territories"] == ["east"]
    assert up.answer("show", "account/A")["territories"] == []
    assert up.answer("explain", "assignment", "account/A", "--territory", "west")["asked"]["outcome"] == "excluded"


def the_model_is_written_back(up: Up, file: Path) -> None:
    """`models show` writes the active model: applying the file changes nothing, and asks nothing."""
    assert up.answer("models", "show", "--output", str(file)) == {"org_id": ORG, "revision": 1, "file": str(file)}
    assert up.run("models", "show").stdout == file.read_bytes()
    assert up.answer("models", "show")["model"]["org"] == ORG
    again = up.answer("apply", str(file), "--expect-revision", "1")
    assert (again["activated"], again["revision"]) == (False, 1)
    emptied = up.run("apply", "-", given=f"org: {ORG}".encode())
    assert (emptied.returncode, emptied.stdout) == (1, b"")
    assert "4 of 4 records" not in emptied.stderr.decode()  # one of them is in no territory
    assert "9 of 9 memberships of users would change" in emptied.stderr.decode()


def a_territory_is_removed(up: Up) -> None:
    smaller = {**MODEL, "territories": [node for node in MODEL["territories"] if node["id"] != "east"]}
    planned = up.run("plan", "-", given=json.dumps(smaller).encode()).stdout.decode()
    assert "removed: territory/" in planned
    assert "in other territories: " in planned
    refused = up.run("apply", "-", given=json.dumps(smaller).encode())
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert "of 5 records would be in other territories" in refused.stderr.decode()
    late = up.run("apply", "-", "--yes", "--expect-revision", "9", given=json.dumps(smaller).encode())
    assert "expected revision 9 of 'acme' to be active, but revision 1 is active" in late.stderr.decode()
    gone = up.answer("apply", "-", "--yes", "--expect-revision", "1", given=json.dumps(smaller).encode())
    assert (gone["revision"], gone["removed_territories"], gone["in_effect"]) == (2, ["east"], True)
    assert up.answer("show", "account/B")["dropped"] == ["east"]


def failures_are_one_line(up: Up) -> None:
    for command in (
        ("visible", "nobody"),
        ("records", "--owner", "nobody"),
        ("records", "--territory", "nowhere"),
        ("explain", "access", "ann", "account/Z"),
        ("explain", "access", "nobody", "account/A"),
        ("explain", "assignment", "account/A", "--territory", "nowhere"),
        ("link", "account/Z", "west", "--assign"),
        ("attainment", "--territory", "nowhere"),
        ("report", "custom", "--measure", "won", "--by", "colour"),
    ):
        done = up.run(*command, "--json")
        assert (done.returncode, done.stdout) == (1, b""), command
        assert done.stderr.count(b"\n") == 1, done.stderr.decode()
    assert up.run("publish", "-", "--as-is", given=b"{nonsense").returncode == 0
    assert up.answer("wait")["done"] is True  # a dead letter does not stop the stream


def results_are_text_without_json(up: Up) -> None:
    assert "is in no territory" in up.run("show", "account/A").stdout.decode()
    assert "is in no territory" in up.run("explain", "assignment", "deal/D").stdout.decode()
    assert "owner (edit)" in up.run("explain", "access", "bob", "account/A").stdout.decode()
    assert "bob sees 1 account\n    account/A\n" in up.run("visible", "bob").stdout.decode()
    assert "Root" in up.run("viewers", "account/A").stdout.decode()
    assert "World" in up.run("attainment", "--users").stdout.decode()


def the_index_is_verified_repaired_and_rebuilt(up: Up) -> None:
    """`verify` names and repairs differences; `rebuild` builds the index again beside the old one (V8)."""
    assert up.answer("verify")["drift"] == {}
    with redis.Redis.from_url(up.addresses["redis"]) as client:
        client.sadd(f"visible:{{{ORG}:cleo}}:account", "A-1")
        found = up.answer("verify", code=1)
        assert found["drift"] == {"extra_member": 1}
        repaired = up.answer("verify", "--repair", code=1)
        assert repaired["mended"] == 1
        assert up.answer("verify")["drift"] == {}
        client.sadd(f"visible:{{{ORG}:cleo}}:account", "A-1")
        assert up.answer("rebuild")["org_id"] == ORG
        assert not client.sismember(f"visible:{{{ORG}:cleo}}:account", "A-1")
    assert up.answer("verify")["drift"] == {}
    for command in ("verify", "rebuild"):
        done = up.run(command)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.decode().strip()


def refused_messages_are_sent_again(up: Up) -> None:
    """A redriven message passes the same checks: it is accepted once, dropped as known, or refused again."""
    pin, early = (line("account", name, 1, op="link", territory_id="west", kind="assign") for name in ("P", "L"))
    for name, link in (("P", pin), ("L", early)):
        up.answer(
            "publish", "-", given=line("account", name, 1, owner_id="bob") + line("account", name, 2, op="delete")
        )
        up.answer("publish", "-", given=link)
    up.answer("wait")
    found = up.answer("dead-letters", "list", "--code", "no_record", "--stage", "assigner-intake", "--since", "1h")
    assert [(one["code"], one["letters"]) for one in found["codes"]] == [("no_record", 2)]
    pinned, unknown = sorted(found["letters"], key=lambda letter: letter["key"], reverse=True)
    assert up.answer("dead-letters", "show", pinned["letter"])["value"]["kind"] == "assign"
    assert up.run("dead-letters", "show", unknown["letter"], "--raw").stdout == early.strip()
    up.answer("publish", "-", given=line("account", "P", 3, owner_id="bob"))
    assert sorted(up.answer("dead-letters", "redrive", "--code", "no_record")["sent"]) == sorted(
        (pinned["letter"], unknown["letter"])
    )
    up.answer("wait")
    assert up.answer("show", "account/P")["territories"] == ["west"]
    unsent = up.answer("dead-letters", "list", "--unsent", "--code", "no_record")["letters"]
    assert [(letter["key"], letter["sent_before"]) for letter in unsent] == [("acme/account/L", 1)]
    assert up.answer("dead-letters", "redrive", pinned["letter"], code=1)["sent"] == []
    up.answer("publish", "-", given=line("account", "P", 4, owner_id="bob", fields={"country": "DE"}))
    assert up.answer("dead-letters", "redrive", pinned["letter"], "--again")["sent"] == [pinned["letter"]]
    up.answer("wait")
    assert up.answer("show", "account/P")["version"] == 4
    assert up.answer("dead-letters", "list", "--key", "acme/account/P")["total"] == 1
    assert b"1 message sent again, 0 not" in up.run("dead-letters", "redrive", unsent[0]["letter"]).stdout
    assert up.run("dead-letters", "show", "0/999999").returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_stops_everything_that_it_started(tmp_path: Path, number: signal.Signals) -> None:
    """A signal stops services and servers with exit code 0; a kept data directory has everything at the next start."""
    kept = ("--data-dir", str(tmp_path / "kept"))
    with running(tmp_path / "first", *kept) as up:
        first = up.addresses
        assert len(listening_addresses(up)) == 5
        up.answer("apply", "-", given=json.dumps(MODEL).encode())
        up.answer("publish", "-", given=line("account", "A", 1, owner_id="bob", fields={"country": "US"}))
        up.answer("wait")
        up.process.send_signal(number)
        assert up.process.wait(DOWN_SECONDS) == 0
        assert listening_addresses(up) == []
        assert "Traceback" not in up.stderr.read_text()
    with running(tmp_path / "second", *kept) as up:
        assert up.addresses == first  # ports stay the same between starts
        assert up.answer("show", "account/A")["territories"] == ["west"]
        up.answer("publish", "-", given=line("account", "B", 1, fields={"country": "DE"}))
        up.answer("wait")
        assert up.answer("show", "account/B")["territories"] == ["east"]


def test_a_second_stack_never_disturbs_the_first(tmp_path: Path) -> None:
    """On the data, a port or the servers of a running one a second is refused at once; elsewhere it may run."""
    data = str(tmp_path / "data")
    with running(tmp_path / "up", "--data-dir", data) as up:
        port = up.addresses["kafka"].rpartition(":")[2]
        up.answer("apply", "-", given=json.dumps(MODEL).encode())
        attempts: tuple[tuple[tuple[str, ...], dict[str, str], str], ...] = (
            (("--data-dir", data), {}, f"in use by process {up.process.pid}"),
            (("--kafka-port", port), {}, f"port {port} for Kafka is taken"),
            ((), up.environment, f"another territory up, process {up.process.pid}, runs on {up.addresses['kafka']}"),
        )
        for arguments, settings, reason in attempts:
            started = time.monotonic()
            refused = run("up", *arguments, given=b"", **settings)
            assert time.monotonic() - started < AT_ONCE_SECONDS
            assert (refused.returncode, refused.stdout) == (1, b"")
            assert reason in refused.stderr.decode()
        up.answer("publish", "-", given=line("account", "A", 1, owner_id="bob", fields={"country": "US"}))
        assert up.answer("wait")["done"] is True
        found = up.answer("top", "--once")["workers"]
        assert sorted(worker["worker"] for worker in found) == sorted(
            url.removeprefix("http://") for url in up.addresses["metrics"].values()
        )
        assert all(worker["ready"] for worker in found)


def test_a_service_that_dies_ends_the_stack(tmp_path: Path) -> None:
    """The stack never runs in part: it names the service that ended, quotes its log, and ends with an error."""
    with running(tmp_path / "up") as up:
        os.kill(process_of(up, "access_indexer"), signal.SIGKILL)
        assert up.process.wait(DOWN_SECONDS) == 1
        assert "territory: access-indexer ended unexpectedly:" in up.stderr.read_text()
        assert listening_addresses(up) == []


def process_of(up: Up, module: str) -> int:
    """Return the process id of one of the services."""
    deadline = time.monotonic() + DOWN_SECONDS
    while time.monotonic() < deadline:
        listed = subprocess.run(
            ("ps", "-o", "pid=,args=", "--ppid", str(up.process.pid)), capture_output=True, text=True, check=True
        )
        for each in listed.stdout.splitlines():
            number, command = each.split(maxsplit=1)
            if command.endswith(f"-m {module}"):
                return int(number)
    raise AssertionError(f"{module} is not running")
