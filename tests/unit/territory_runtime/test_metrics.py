"""What metrics there are, what labels they have, and that each is on its page (contracts, Metrics)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from territory.wire.events.record import _CODES
from territory_runtime import metrics
from territory_runtime.loop.partition_task import PROCESSING_ERROR
from tests.support.metrics_page import LABELS, ROOT, STAGES, documented_labels, rows, values_of

PROMISED = {
    "territory_events_total": ("topic", "outcome"),
    "territory_event_to_visible_seconds": (),
    "territory_revocation_seconds": (),
    "territory_lag_records": ("topic",),
    "territory_lag_seconds": ("topic",),
    "territory_dead_letters_total": ("topic", "code"),
    "territory_rules": ("engine",),
    "territory_sweep_remaining_records": None,
    "territory_index_drift_total": None,
    "territory_model_revision": (),
}
"""What contracts.md names; None: its labels are ours to choose."""


def ours() -> dict[str, MetricWrapperBase]:
    """Return our metrics by the name that they are exposed by."""
    found = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            found[metric._name + ("_total" if metric._type == "counter" else "")] = metric
    return found


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for package in ("schemas", "services"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def texts(node: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_what_users_are_promised_is_there() -> None:
    """The metrics that contracts.md names, with the labels that it names."""
    found = {name: metric._labelnames for name, metric in ours().items()}
    assert {name: labels if found.get(name) and labels is not None else None for name, labels in PROMISED.items()} == {
        name: found[name] if found.get(name) and labels is not None else None for name, labels in PROMISED.items()
    }
    assert PROMISED.keys() <= found.keys()


def test_names_have_prefix_and_unit() -> None:
    """Prefix territory_; durations in seconds."""
    for name, metric in ours().items():
        assert name.startswith("territory_"), name
        assert not name.endswith(("_ms", "_milliseconds", "_minutes")), name
        if metric._type == "histogram":
            assert name.endswith(("_seconds", "_records")), name


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0, 4.0]), st.integers(0, 5))))
def test_a_batch_is_observed_as_its_values_are(values: list[tuple[float, int]]) -> None:
    """All at once come to the same as one by one, bounds included."""
    one, other = CollectorRegistry(), CollectorRegistry()
    at_once = metrics.BatchHistogram("territory_x_seconds", "x", buckets=(0.5, 1), registry=one)
    singly = Histogram("territory_x_seconds", "x", buckets=(0.5, 1), registry=other)
    at_once.observe_all(values)
    for value, times in values:
        for _ in range(times):
            singly.observe(value)
    of_once, of_each = (
        {(sample.name, sample.labels.get("le")): sample.value for family in each.collect() for sample in family.samples}
        for each in (one, other)
    )
    assert of_once == pytest.approx(of_each)


def test_no_id_is_a_label() -> None:
    """Every label is of the list whose values can be counted on a page (no ids as labels)."""
    for name, metric in ours().items():
        for label in metric._labelnames:
            assert values_of(label, name) is not None, f"{name} has the label {label!r}"
    assert not {"org", "org_id", "user", "user_id", "record", "id", "key", "territory"} & LABELS.keys()


def test_the_page_has_every_metric_and_no_other() -> None:
    """A metric that no page documents is found out, and so is a page's that is not there; each says what to do."""
    page = {row.name: (row.labels, row.kind) for row in rows() if row.name.startswith("territory_")}
    assert page == {name: (metric._labelnames, metric._type) for name, metric in ours().items()}
    assert all(row.what_to_do.strip() for row in rows())


def test_the_library_has_the_metrics_of_the_process() -> None:
    """Memory and processor time are the library's own collector's."""
    said = {family.name for family in text_string_to_metric_families(generate_latest(REGISTRY).decode())}
    others = {row.name.removesuffix("_total") for row in rows() if not row.name.startswith("territory_")}
    assert others
    assert others <= said


def test_the_page_has_every_value_of_every_label() -> None:
    """The page's table of labels is what tests hold label values to."""
    said = documented_labels()
    assert said.keys() == LABELS.keys()
    of_code = {label: values for label, values in LABELS.items() if label not in {"topic", "part"}}
    assert {label: said[label] for label in of_code} == of_code
    assert said["part"] == LABELS["part"] - STAGES


def test_metrics_are_made_in_one_place() -> None:
    """All metrics live in territory_runtime/metrics.py (conventions)."""
    makers = [
        path.name
        for path, module in sources()
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom)
        and node.module == "prometheus_client"
        and {alias.name for alias in node.names} & {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
    ]
    assert makers == ["metrics.py"]


def test_outcomes_are_constants_of_the_list() -> None:
    """What a step came to is counted under a word of the code, not of the message."""
    found: set[str] = set()
    for path, module in sources():
        for node in ast.walk(module):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
                if node.value.attr != "outcomes":
                    continue
                words = [node.slice.body, node.slice.orelse] if isinstance(node.slice, ast.IfExp) else [node.slice]
                assert all(isinstance(word, ast.Constant) for word in words), f"{path}:{node.lineno}"
                found |= {str(word.value) for word in words if isinstance(word, ast.Constant)}
    assert found == LABELS["outcome of outcomes"]


def test_codes_of_refusals_are_of_the_list() -> None:
    """The code of a dead letter is one of a few words."""
    found = {*_CODES.values(), PROCESSING_ERROR}
    for _, module in sources():
        for node in ast.walk(module):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name) and node.func.id == "BadMessage" and node.args:
                found |= texts(node.args[0])
            elif ast.unparse(node).startswith("self._refuse(message, "):
                found |= texts(node.args[1])
            elif isinstance(node.func, ast.Attribute) and ast.unparse(node.func).endswith("refused.append"):
                given = node.args[0]
                if isinstance(given, ast.Tuple) and len(given.elts) == 3 and ast.unparse(given.elts[0]) == "message":
                    found |= texts(given.elts[1])
    assert found == LABELS["code"]
