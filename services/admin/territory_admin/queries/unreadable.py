"""Lists the values of records that cannot be read as their fields' types, or as what forecasts need (C6, F1).

The time of a record's last change, `occurred_at`, is listed as well (A13).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from territory.criteria.values import Unreadable, excerpt_of
from territory.deals import unreadable_of
from territory.model.compiled import Model
from territory.model.pieces import ObjectType
from territory.record_values import record_values
from territory.wire.events import DealFacts, Record, read_record
from territory.wire.topics import FAMILIES
from territory_admin.log.kafka_session import kafka_session
from territory_admin.log.organisation_reader import OnRead, OrganisationReader
from territory_admin.log.topic_reader import partitions_of
from territory_admin.models.today import of_today
from territory_admin.models.topic import read_active_model
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True, order=True)
class UnreadableValue:
    """One value that cannot be read."""

    record: str
    """As `<object>/<id>`."""
    field: str
    found: str
    """The value as JSON, cut; it may be personal data."""
    expected: str


@dataclass(frozen=True, slots=True)
class UnreadableField:
    """How many records have an unreadable value in one field."""

    object: str
    field: str
    values: int


@dataclass(frozen=True, slots=True)
class UnreadableValues:
    """A page of an organisation's unreadable values, by record and field; counts are of all of them."""

    org_id: str
    model_revision: int
    total: int
    fields: tuple[UnreadableField, ...]
    """The field with the most values first."""
    values: tuple[UnreadableValue, ...]
    next: str | None
    """The record behind which the next page begins; None on the last one."""


OCCURRED_AT = "occurred_at"
A_TIME = "a date and time such as 2017-03-31T08:00:00Z"


def unreadable_in(record: Record, model: Model) -> list[UnreadableValue]:
    """Return a record's unreadable values: of its fields, and the time of its last change (A13).

    Args:
        record: The record.
        model: The model on its day: foreign money without a rate is unreadable (C9).
    """
    name = f"{record.object}/{record.id}"
    found = unreadable_fields(name, record.object, record.fields, model)
    if record.unreadable_occurred_at is not None:
        found.append(UnreadableValue(name, OCCURRED_AT, excerpt_of(record.unreadable_occurred_at), A_TIME))
    return sorted(found)


def unreadable_fields(name: str, kind: ObjectType, fields: Mapping[str, Any], model: Model) -> list[UnreadableValue]:
    """Return the unreadable values of declared fields, and of a deal's fields that forecasts use.

    Args:
        name: How the record is called in the result.
        kind: Its object.
        fields: Its fields as JSON values.
        model: The model on its day: foreign money without a rate is unreadable (C9).
    """
    values, _ = record_values(model, kind, model.field_types.get(kind, {}), fields)
    found = {
        field: UnreadableValue(name, field, value.found, f"a {value.expected}")
        for field, value in values.items()
        if isinstance(value, Unreadable)
    }
    if kind == "deal":
        for field, fact in unreadable_of(DealFacts.of(fields), model):
            found.setdefault(field, UnreadableValue(name, field, excerpt_of(fact.found), fact.expected))
    return sorted(found.values())


class UnreadableRecords:
    """The unreadable values of all live records. Memory: those values, cut."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._here: dict[str, tuple[int, list[UnreadableValue]]] = {}
        """By key, the version and the values of records in the current partition."""
        self._of: dict[str, tuple[int, list[UnreadableValue]]] = {}

    def take(self, key: str, record: Record | None) -> None:
        """Add the state of a record in a partition; None, a deletion, or links alone (A4) remove it."""
        values = unreadable_in(record, self._model) if record is not None and record.is_live else []
        if record is not None and values:
            self._here[key] = record.version, values
        else:
            self._here.pop(key, None)

    def end_partition(self) -> None:
        """Keep the values of a partition that was read to its end; of a record in two families the newer ones."""
        for key, found in self._here.items():
            if key not in self._of or found[0] >= self._of[key][0]:
                self._of[key] = found
        self._here.clear()

    def page(self, limit: int, after: str | None) -> UnreadableValues:
        """Return the values of whole records behind one, until there are `limit` or more."""
        every = sorted(value for _, values in self._of.values() for value in values)
        counts = Counter((value.record.partition("/")[0], value.field) for value in every)
        page = _whole_records((value for value in every if after is None or value.record > after), limit)
        last = page[-1].record if page else None
        return UnreadableValues(
            org_id=self._model.org_id,
            model_revision=self._model.revision,
            total=len(every),
            fields=tuple(
                UnreadableField(kind, field, count)
                for (kind, field), count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
            ),
            values=tuple(page),
            next=last if last is not None and every[-1].record > last else None,
        )


def _whole_records(values: Iterable[UnreadableValue], limit: int) -> list[UnreadableValue]:
    remaining = iter(values)
    page = list(islice(remaining, limit))
    for value in remaining:
        if not page or value.record != page[-1].record:
            break
        page.append(value)
    return page


async def list_unreadable(settings: Settings, limit: int, after: str | None, report: OnRead) -> UnreadableValues:
    """Return the unreadable values of an organisation's records, as the assigner has them now.

    Args:
        settings: The brokers and the organisation.
        limit: The most values of a page; it ends with a whole record.
        after: A record, `<object>/<id>`: the page begins behind it.
        report: Called with how many messages were read, and how many there are.

    Raises: NotFound without a model, or before the services first ran; KafkaError.
    """
    async with kafka_session(settings) as kafka:
        model = of_today(await read_active_model(kafka, settings.org_id))
        partitions = partitions_of(FAMILIES, await kafka.existing_partitions())
        reader = OrganisationReader(await kafka.consumer(), settings.org_id, report)
        await reader.mark(partitions)
        found = UnreadableRecords(model)
        for where in partitions:
            await reader.read(where, read_record, found.take)
            found.end_partition()
    return found.page(limit, after)
