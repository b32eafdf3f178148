"""The commands `territory validate | plan | apply`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from assigner.matching.engines import EngineName
from territory.errors import ModelRefused
from territory_admin.errors import NotReached, Refused
from territory_admin.lint.gaps import gaps_of
from territory_admin.lint.on_records import check_on_records
from territory_admin.lint.owners import groups_without_members
from territory_admin.lint.rule_lint import analyse_rules
from territory_admin.models.apply import Applied, Terms, apply_and_wait
from territory_admin.models.apply import apply as activate
from territory_admin.models.changes import removed_territories
from territory_admin.models.validate import CheckedModel, check_model
from territory_admin.planning.plan import plan as planned_changes
from territory_admin.planning.safeguard import NeedsConsent
from territory_control.commands.arguments import WAIT_SECONDS, AsJson, TimeoutSeconds
from territory_control.failures import EXIT_REFUSED
from territory_control.input_files import read_text
from territory_control.output import Output
from territory_control.views import model as model_view
from territory_control.views import rules as rules_view
from territory_control.views.gaps import model_gaps
from territory_control.views.plan import plan_view
from territory_control.views.text import counted
from territory_runtime.settings import Settings, read_settings

app = typer.Typer(rich_markup_mode=None)

ModelFile = Annotated[str, typer.Argument(metavar="MODEL", help="A YAML or JSON file; - reads standard input.")]


@app.command()
def validate(
    model: ModelFile,
    *,
    on_records: Annotated[
        bool,
        typer.Option("--on-records", help="Also count how the records on the log fall on the model's territories."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 when a rule can never match, or always does.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a model file and list every fault with its line, column and path.

    A valid model gets an analysis of its rules: what they cost, and which can never match or always do.
    Warnings name territories without people, users without a territory, and targets that do not add up.

    Example: territory validate model.yaml --strict
    """
    output = Output(as_json=as_json)
    settings = read_settings() if on_records else None
    checked = _checked_model(model, output)
    gaps = gaps_of(checked.model)
    analysis, without_members = analyse_rules(checked.model), groups_without_members(checked.model)
    text = [
        Text(f"valid: {checked.org_id}: {model_view.model_size(checked.model)}"),
        *rules_view.rule_analysis(analysis),
        *model_view.group_warnings(without_members),
        *model_gaps(gaps),
    ]
    coverage = None
    if settings is not None:
        with output.bar("reading records") as bar:
            coverage = asyncio.run(check_on_records(settings, checked.model, analysis, bar.at))
        text += rules_view.record_coverage(coverage)
    data = {
        "valid": True,
        "org_id": checked.org_id,
        "faults": [],
        "rules": analysis,
        "groups_without_members": without_members,
        "gaps": gaps,
        "on_records": coverage,
    }
    output.result(data, *text)
    if strict and (analysis.impossible or analysis.empty or analysis.sharing):
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def plan(
    model: ModelFile,
    records: Annotated[
        int, typer.Option("--records", min=0, help="List this many of the records that would move.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Show what a model would change; nothing is written and nobody is affected.

    All records that the assigner has are decided under both models. The result has the records that would move,
    who would see more or less, and the forecast sums. Relative dates are resolved as of today.
    A closed period keeps its figures; the plan counts its deals as they are now.

    Example: territory plan model.yaml --records 20
    """
    output, settings = Output(as_json=as_json), read_settings()
    checked = _checked_model(model, output, settings.assigner_engine)
    with output.bar("reading records") as bar:
        planned = asyncio.run(planned_changes(settings, checked, records, bar.at))
    output.result(planned, *plan_view(planned))


@app.command()
def apply(
    model: ModelFile,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask, however much changes hands; no record is read for that then.")
    ] = False,
    expect_revision: Annotated[
        int | None,
        typer.Option("--expect-revision", min=0, help="Refuse if another revision is active; 0: none yet."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until all services have applied it to all records.")] = True,
    timeout: TimeoutSeconds = WAIT_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Activate a model for its organisation, in all services at once.

    When more than a tenth of the records or of the users' memberships would change hands, it shows what plan would
    and asks; without a terminal, or with --json, it refuses unless --yes is given.

    Example: territory apply model.yaml --expect-revision 7
    """
    output, settings = Output(as_json=as_json), read_settings()
    checked = _checked_model(model, output, settings.assigner_engine)
    seconds = timeout if wait else None
    try:
        done = _applied(settings, checked, seconds, output, expect_revision, with_safeguard=not yes)
    except NeedsConsent as held:
        if not output.can_ask:
            raise
        output.result(None, *plan_view(held.planned))
        if not output.confirms(f"{held.figures}. Apply it?"):
            raise Refused("not applied: nothing was changed") from held
        # What was shown is what is replaced: another revision by now is a refusal.
        done = _applied(settings, checked, seconds, output, held.planned.revision, with_safeguard=False)
    if checked.org_id != settings.org_id:
        output.note(
            f"this model belongs to {checked.org_id!r}, but the other commands use {settings.org_id!r}; "
            f"set TERRITORY_ORG_ID={checked.org_id} to work with this organisation"
        )
    if done.absent:
        output.note(f"no service is running for {', '.join(done.absent)}; the model takes effect when one starts")
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
    output.result(data, *model_view.applied(done), *([Text("in effect everywhere")] if done.in_effect else []))
    if done.in_effect is False:
        raise NotReached(
            f"revision {done.revision} is activated, but not in effect everywhere after {timeout:g} s; "
            "territory wait waits on, territory top shows the workers"
        )


def _applied(
    settings: Settings,
    checked: CheckedModel,
    timeout: float | None,
    output: Output,
    expected: int | None,
    *,
    with_safeguard: bool,
) -> Applied:
    """Activate a model and, with a timeout, wait until it is in effect, with a progress bar of each stage."""
    with output.bar("applying") as bar:
        terms = Terms(expected, with_safeguard, lambda read, total: bar.at(read, total, "reading records"))
        if timeout is None:
            return asyncio.run(activate(settings, checked, terms))
        return asyncio.run(
            apply_and_wait(settings, checked, timeout, lambda stage, done, total: bar.at(done, total, stage), terms)
        )


def _checked_model(path: str, output: Output, engine: EngineName = "index") -> CheckedModel:
    """Return a model without faults; otherwise list the faults and exit 1."""
    try:
        return check_model(read_text(path), engine)
    except ModelRefused as refused:
        output.result({"valid": False, "org_id": None, "faults": refused.faults}, *model_view.faults(refused.faults))
        output.note(f"refused: {counted(len(refused.faults), 'fault')}; nothing was changed")
        raise typer.Exit(EXIT_REFUSED) from refused
