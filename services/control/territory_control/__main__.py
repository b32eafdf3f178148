"""The command `territory`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import aiokafka.errors
import kafka.errors
import redis.exceptions
import typer
from rich.text import Text

from assigner.matching.engines import EngineName
from territory.errors import BadMessage, ModelRefused
from territory.model.document import OBJECTS, Level, ObjectType
from territory.wire.events import LinkKind
from territory_admin.arguments import RecordName, record_name
from territory_admin.consistency import rebuild as rebuilding
from territory_admin.consistency import repair as repairing
from territory_admin.consistency import verify as verifying
from territory_admin.errors import CommandFailed, NotFound, NotReached
from territory_admin.lint.on_records import check_on_records
from territory_admin.lint.rule_lint import analyse_rules
from territory_admin.models.apply import Applied, apply_and_wait
from territory_admin.models.apply import apply as apply_model
from territory_admin.models.changes import removed_territories
from territory_admin.models.refusal import refusal
from territory_admin.models.validate import CheckedModel, check_model
from territory_admin.planning import plan as on_the_log
from territory_admin.queries import adjustments as adjusting
from territory_admin.queries import attainment as attaining
from territory_admin.queries import attainment_history
from territory_admin.queries import explain_access as access
from territory_admin.queries import explain_assignment as assignment
from territory_admin.queries import show as showing
from territory_admin.queries import viewers as viewing
from territory_admin.queries import visible as seeing
from territory_admin.queries import worker_metrics as top
from territory_admin.records import link as linking
from territory_admin.records import publish as publishing
from territory_admin.records import wait as progress
from territory_control.commands import dead_letters as letter_commands
from territory_control.commands import reports as report_commands
from territory_control.input_files import STDIN, read_text
from territory_control.local import demo
from territory_control.local.stack import has_own_servers, running_stack, watch
from territory_control.options import AsJson
from territory_control.output import Output
from territory_control.views import attainment_history as attainment_views
from territory_control.views import plan as tables
from territory_control.views import results as rendering
from territory_control.views import rules as rule_tables
from territory_control.views import top as top_view
from territory_control.views.attainment_tree import adjustments_table, tree_of
from territory_runtime.kafka.topic_admin import TopicsUnfit
from territory_runtime.settings import Settings, SettingsRefused, read_settings

EXIT_REFUSED = 1
EXIT_WRONG_USAGE = 2
EXIT_INTERRUPTED = 130
WAIT_SECONDS = 300.0
VERIFY_SECONDS = 60.0
NEAR_MISSES = 5
WORKERS = ["127.0.0.1:9464", "127.0.0.1:9465", "127.0.0.1:9466"]

Answer = TypeVar("Answer")

app = typer.Typer(
    name="territory",
    help="Decides, live, which territory every CRM record belongs to, who may see it, and how territories stand.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
explain = typer.Typer(help="Say why, or why not.", no_args_is_help=True)
app.add_typer(explain, name="explain")
app.add_typer(report_commands.app, name="report")
app.add_typer(letter_commands.app, name="dead-letters")


def _record_of(text: str) -> RecordName:
    try:
        return record_name(text)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from fault


Record = Annotated[RecordName, typer.Argument(metavar="OBJECT/ID", parser=_record_of, help="Such as account/A-1.")]
ModelFile = Annotated[str, typer.Argument(metavar="MODEL", help="A YAML or JSON file; - for stdin.")]
Seconds = Annotated[float, typer.Option("--timeout", min=0, help="Give up after so many seconds.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Default: a free one.")]


# --- models and records ----------------------------------------------------------------------


@app.command()
def validate(
    model: ModelFile,
    *,
    on_records: Annotated[
        bool, typer.Option("--on-records", help="Also see how the records on the log fall on its territories.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 on rules that make no sense.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a model: list every fault by its path, else what its rules cost and which make no sense."""
    output = Output(as_json=as_json)
    settings = read_settings() if on_records else None
    checked = _checked(model, output)
    analysis = analyse_rules(checked.model)
    shown = [
        Text(f"valid: {checked.org_id}: {rendering.model_size(checked.model)}"),
        *rule_tables.of_rules(analysis),
    ]
    fallen = None
    if settings is not None:
        with output.bar("reading records") as bar:
            fallen = _run(check_on_records(settings, checked.model, analysis, bar.at))
        shown += rule_tables.of_records(fallen)
    data = {"valid": True, "org_id": checked.org_id, "faults": [], "rules": analysis, "on_records": fallen}
    output.result(data, *shown)
    if strict and (analysis.impossible or analysis.empty or analysis.sharing):
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def plan(
    model: ModelFile,
    records: Annotated[int, typer.Option("--records", min=0, help="Name so many records that would move.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Say what a model would change: records, who sees what, sums. Nobody is affected, nothing is written.

    Asked are the records that the assigner has now, all of them. Relative dates are meant on today. The sums are those
    of the deals as they are: a closed period keeps its figures, and shows the difference as an adjustment.
    """
    output, settings = Output(as_json=as_json), read_settings()
    checked = _checked(model, output, settings.assigner_engine)
    with output.bar("reading records") as bar:
        planned = _run(on_the_log.plan(settings, checked, records, bar.at))
    output.result(planned, *tables.of_plan(planned))


@app.command()
def apply(
    model: ModelFile,
    wait: Annotated[bool, typer.Option(help="Wait until it is in effect everywhere.")] = True,
    timeout: Seconds = WAIT_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Make a model the organisation's, at once and for all services."""
    output, settings = Output(as_json=as_json), read_settings()
    checked = _checked(model, output, settings.assigner_engine)
    done = _applied(settings, checked, timeout, output) if wait else _run(apply_model(settings, checked))
    if checked.org_id != settings.org_id:
        output.note(
            f"this is the model of {checked.org_id!r}; other commands speak of {settings.org_id!r} "
            "until TERRITORY_ORG_ID says otherwise"
        )
    if done.absent:
        output.note(f"no service is running for {', '.join(done.absent)}: it takes effect when they do")
    data = {
        "org_id": done.org_id,
        "revision": done.revision,
        "activated": done.activated,
        "added": ["/".join(key) for key in done.changes.added],
        "changed": ["/".join(key) for key in done.changes.changed],
        "removed": ["/".join(key) for key in done.changes.removed],
        "removed_territories": removed_territories(done.changes),
        "in_effect": done.in_effect,
    }
    output.result(data, *rendering.applied(done), *([Text("in effect everywhere")] if done.in_effect else []))
    if done.in_effect is False:
        raise NotReached(f"revision {done.revision} is activated, but not in effect everywhere after {timeout:g} s")


@app.command()
def publish(
    file: Annotated[str, typer.Argument(metavar="FILE.jsonl", help="One RecordChange a line; - for stdin.")],
    as_is: Annotated[bool, typer.Option("--as-is", help="Send lines unchecked, to try dead letters.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish records; list the lines that are no RecordChange and were not sent."""
    output, settings = Output(as_json=as_json), read_settings()
    with _opened(file) as (lines, size), output.bar("publishing", size) as bar:
        done = _run(publishing.publish(settings, lines, as_is=as_is, report=lambda _, sent: bar.at(sent)))
    output.result(done, *rendering.published(done))
    if done.refused:
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def wait(timeout: Seconds = WAIT_SECONDS, as_json: AsJson = False) -> None:
    """Wait until everything published so far is in Redis."""
    output, settings = Output(as_json=as_json), read_settings()
    done = _waited(settings, timeout, output)
    refused = _run(refusal(settings))
    output.result({**asdict(done), "refused": refused}, *rendering.waited(done, refused))
    if refused is not None or not done.done:
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def link(
    record: Record,
    territory: Annotated[str, typer.Argument(metavar="TERRITORY")],
    *,
    assign: Annotated[bool, typer.Option("--assign", help="Link it by hand.")] = False,
    exclude: Annotated[bool, typer.Option("--exclude", help="Let no rule link it.")] = False,
    none: Annotated[bool, typer.Option("--none", help="Take either back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decide about a record and a territory by hand."""
    chosen: list[LinkKind] = [kind for kind, is_on in _kinds(assign, exclude, none) if is_on]
    if len(chosen) != 1:
        raise typer.BadParameter("expected exactly one of --assign, --exclude and --none")
    output, settings = Output(as_json=as_json), read_settings()
    done = _run(linking.link(settings, record, territory, chosen[0]))
    says = {"assign": "assigned to", "exclude": "excluded from", "none": "neither assigned to nor excluded from"}
    output.result(done, Text(f"{done.record} is {says[done.kind]} {done.territory_id} by hand (territory wait)"))


def _kinds(assign: bool, exclude: bool, none: bool) -> list[tuple[LinkKind, bool]]:
    return [("assign", assign), ("exclude", exclude), ("none", none)]


# --- questions -------------------------------------------------------------------------------


@app.command()
def show(record: Record, as_json: AsJson = False) -> None:
    """Show where a record stands: its owner, its territories and why, and how many see it."""
    output = Output(as_json=as_json)
    found = _run(showing.show(read_settings(), record))
    output.result(found, *rendering.shown(found))


@explain.command("assignment")
def explain_assignment(
    record: Record,
    territory: Annotated[str | None, typer.Option(help="Say why it is, or is not, in this one.")] = None,
    near: Annotated[int, typer.Option(min=0, help="Name so many that it misses by one condition.")] = NEAR_MISSES,
    as_json: AsJson = False,
) -> None:
    """Say why a record is in its territories, which it nearly is in, or why not in another."""
    output = Output(as_json=as_json)
    found = _run(assignment.explain_assignment(read_settings(), record, territory, near))
    output.result(found, *rendering.explained_assignment(found))


@explain.command("access")
def explain_access(
    user: Annotated[str, typer.Argument(metavar="USER")], record: Record, as_json: AsJson = False
) -> None:
    """Give every path by which a user sees a record, or say that there is none."""
    output = Output(as_json=as_json)
    found = _run(access.explain_access(read_settings(), user, record))
    output.result(found, *rendering.explained_access(found))


@app.command()
def visible(
    user: Annotated[str, typer.Argument(metavar="USER")],
    only: Annotated[ObjectType | None, typer.Option("--object", help="Default: all four.")] = None,
    level: Annotated[Level, typer.Option(help="At least this level.")] = "read",
    as_json: AsJson = False,
) -> None:
    """List the records that a user sees."""
    output = Output(as_json=as_json)
    found = _run(seeing.visible(read_settings(), user, OBJECTS if only is None else (only,), level))
    output.result(found, *rendering.visible(found))


@app.command()
def viewers(record: Record, as_json: AsJson = False) -> None:
    """List the users who see a record."""
    output = Output(as_json=as_json)
    found = _run(viewing.viewers(read_settings(), record))
    output.result(found, *rendering.viewers(found))


@app.command()
def attainment(
    *,
    territory: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    period: Annotated[str | None, typer.Option(help="Only this one, such as 2017-Q1.")] = None,
    users: Annotated[bool, typer.Option("--users", help="With what each user won in a territory itself.")] = False,
    over_time: Annotated[
        bool,
        typer.Option(
            "--history",
            help="How one, or the whole, stood at the end of each day, as far as the log goes back: "
            "a day at least, longer with min.compaction.lag.ms on territory.attainments.v1.",
        ),
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Draw that to a file, such as out.png (extra `plot`).")
    ] = None,
    adjustments: Annotated[
        bool, typer.Option("--adjustments", help="The deals that count otherwise since a period was closed, instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show how territories stand against their targets, with all below them."""
    output = Output(as_json=as_json)
    if adjustments:
        if over_time or plot is not None or users:
            raise typer.BadParameter("expected --adjustments without --history, --plot and --users")
        deals = _run(adjusting.adjustments(read_settings(), territory, period))
        output.result(deals, adjustments_table(deals) if deals else Text("no closed period has changed there"))
        return
    if over_time or plot is not None:
        if users:
            raise typer.BadParameter("expected either --history or --users")
        _show_history(output, territory, period, plot)
        return
    model, rows = _run(attaining.attainment(read_settings(), territory, period, users=users))
    output.result(rows, tree_of(model, rows, output.columns) if rows else Text("nothing won, open or targeted there"))


def _show_history(output: Output, territory: str | None, period: str | None, plot: Path | None) -> None:
    settings = read_settings()
    drawing = None if plot is None else attainment_views.Plot(plot)
    with output.bar("reading") as bar:
        model, points = _run(attainment_history.attainment_history(settings, territory, period, bar.at))
    if drawing is not None:
        drawing.draw(model, points)
        output.note(f"drawn: {plot}")
    output.result(points, *attainment_views.shown(model, points))


# --- what Redis holds ------------------------------------------------------------------------


@app.command()
def verify(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what differs, removals first.")] = False,
    rate: Annotated[
        float, typer.Option(min=0, metavar="RECORDS_PER_SECOND", help="How many are looked at; 0: no limit.")
    ] = 20_000.0,
    timeout: Seconds = VERIFY_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Compare Redis with what the log implies, beside live traffic; exit 1 when anything differs."""
    output, settings = Output(as_json=as_json), read_settings()
    with output.bar("comparing") as bar:
        compare = repairing.repair if repair else verifying.verify
        done = _run(compare(settings, per_second=rate, timeout_seconds=timeout, report=bar.at))
    output.result(done, *rendering.verified(done))
    if not done.is_clean:
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def rebuild(
    *,
    org: Annotated[str | None, typer.Option(help="Default: TERRITORY_ORG_ID.")] = None,
    timeout: Seconds = VERIFY_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Build an organisation's index of who sees what anew beside the old one, and switch in one step."""
    output, settings = Output(as_json=as_json), read_settings()
    if org is not None:
        settings = settings.model_copy(update={"org_id": org})
    with output.bar("rebuilding") as bar:
        done = _run(rebuilding.rebuild(settings, timeout_seconds=timeout, report=bar.at))
    output.result(done, *rendering.rebuilt(done))


# --- the stack -------------------------------------------------------------------------------


@app.command()
def up(
    kafka_port: Port = None,
    redis_port: Port = None,
    data_dir: Annotated[
        Path | None, typer.Option(file_okay=False, help="Keep everything there. Default: nothing is kept.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run all services until interrupted, on an embedded broker and Redis unless the environment names others."""
    output, settings = Output(as_json=as_json), read_settings()
    embedded = not has_own_servers(os.environ)
    output.note("starting")
    try:
        with running_stack(
            settings, embedded=embedded, data_dir=data_dir, kafka_port=kafka_port, redis_port=redis_port
        ) as (stack, _):
            output.result(stack.addresses, *rendering.addresses(stack.addresses))
            output.note("running; Ctrl-C stops it")
            watch(stack)
    except KeyboardInterrupt:
        output.note("stopped")


@app.command("top")
def show_top(
    worker: Annotated[
        list[str], typer.Option(metavar="HOST:PORT", help="Where a worker's pages are; give it once for each.")
    ] = WORKERS,
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show live how the workers are, how fresh the index is and how much goes through, until Ctrl-C."""
    output = Output(as_json=as_json)
    if output.is_live and not once:
        try:
            top_view.follow(worker, output.console, every)
        except KeyboardInterrupt:
            return
    pages = top.fetch_pages(worker)
    seen = top.summarise(pages, (), time.time())
    output.result(seen, top_view.shown(seen))
    if all(page.fault is not None for page in pages):
        raise typer.Exit(EXIT_REFUSED)


@app.command("demo")
def play_demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Play the example organisation with its real pipeline on an embedded broker and Redis."""
    output, settings = Output(as_json=as_json), read_settings()
    output.note("starting an embedded broker and Redis, and all services")
    with running_stack(settings, embedded=True) as (stack, reached):
        with output.bar("publishing") as bar:
            played = _run(demo.play(reached, output.note, bar))
        output.result(played.result, *demo.shown(played, output.columns))
        if keep:
            try:
                output.note(*rendering.addresses(stack.addresses), "running; Ctrl-C stops it")
                watch(stack)
            except KeyboardInterrupt:
                output.note("stopping")


# --- the edge --------------------------------------------------------------------------------


def _run(asking: Coroutine[Any, Any, Answer]) -> Answer:
    return asyncio.run(asking)


def _checked(model: str, output: Output, engine: EngineName = "index") -> CheckedModel:
    """Return a model without faults; else list them and exit 1."""
    try:
        return check_model(read_text(model), engine)
    except ModelRefused as refused:
        output.result({"valid": False, "org_id": None, "faults": refused.faults}, *rendering.faults(refused.faults))
        output.note(f"refused: {len(refused.faults)} faults; nothing was changed")
        raise typer.Exit(EXIT_REFUSED) from refused


def _applied(settings: Settings, checked: CheckedModel, timeout: float, output: Output) -> Applied:
    with output.bar("waiting") as bar:
        waiting = apply_and_wait(settings, checked, timeout, lambda stage, taken, total: bar.at(taken, total, stage))
        return _run(waiting)


def _waited(settings: Settings, timeout: float, output: Output) -> progress.Waited:
    with output.bar("waiting") as bar:
        return _run(progress.wait(settings, timeout, lambda stage, taken, total: bar.at(taken, total, stage)))


@contextmanager
def _opened(file: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """Open a file of lines, `-` for stdin, with its size in bytes where it has one."""
    if file == STDIN:
        yield sys.stdin.buffer, None
        return
    try:
        opened = Path(file).open("rb")  # noqa: SIM115 -- closed below; only opening it may fail this way
    except OSError as fault:
        raise NotFound(f"can't read {file}: {fault.strerror or fault}") from fault
    with opened:
        yield opened, os.fstat(opened.fileno()).st_size or None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command, that of the process unless given; every ordinary trouble ends in one clear line on stderr.

    Raises: SystemExit with the exit code.
    """
    for noisy in ("aiokafka", "kafka", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)  # what they have to say is raised as well
    try:
        app(arguments)
    except SettingsRefused as refused:
        _end(EXIT_WRONG_USAGE, str(refused))
    except (CommandFailed, ModelRefused, TopicsUnfit, BadMessage) as fault:
        _end(EXIT_REFUSED, str(fault))
    except (aiokafka.errors.KafkaError, kafka.errors.KafkaError) as fault:
        _end(
            EXIT_REFUSED,
            f"Kafka at TERRITORY_KAFKA_BOOTSTRAP_SERVERS does not do it: {_said(fault)}; "
            "see that the broker is running and the address and credentials are right",
        )
    except (redis.exceptions.RedisError, redis.exceptions.RedisClusterException) as fault:
        _end(
            EXIT_REFUSED,
            f"Redis at TERRITORY_REDIS_URL does not do it: {_said(fault)}; "
            "see that it is running, that the address and password are right, and that TERRITORY_REDIS_CLUSTER says "
            "whether it is a cluster",
        )
    except KeyboardInterrupt:
        _end(EXIT_INTERRUPTED, "interrupted")


def _said(fault: Exception) -> str:
    """Return an error of a library with its kind, which some say themselves."""
    kind = type(fault).__name__
    return str(fault) if kind in str(fault) else f"{kind}: {fault}"


def _end(code: int, why: str) -> None:
    Output(as_json=False).note(f"territory: {why}")
    sys.exit(code)


if __name__ == "__main__":
    main()
