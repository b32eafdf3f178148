from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from territory.wire.codec import encode
from territory_admin.errors import NotFound
from territory_admin.models.apply import messages_of
from territory_admin.models.show import ShownModel, shown, yaml_of
from territory_admin.models.topic import ModelLog
from territory_admin.models.validate import check_model
from tests.support.strategies import edited, models

NOW = datetime(2017, 1, 1, tzinfo=UTC)


def log_of(*documents: dict[str, Any]) -> ModelLog:
    """Return the model topic after some models of `acme` were applied."""
    log, offset = ModelLog(), 0
    for document in documents:
        for message in messages_of("acme", log, check_model(json.dumps(document)).pieces, NOW):
            log.take(offset, message.key.encode(), None if message.value is None else encode(message.value))
            offset += 1
    return log


def shown_of(log: ModelLog) -> ShownModel:
    return shown("acme", log.required("acme"))


@given(models(), st.lists(st.integers(0, 999), max_size=3))
def test_applying_what_is_shown_changes_nothing(first: dict[str, Any], seeds: list[int]) -> None:
    """The file that `models show` writes is a valid model, and the one that is in effect: nothing is published."""
    documents = [first]
    for seed in seeds:
        documents.append(edited(documents[-1], random.Random(seed)))  # noqa: S311 -- not a secret
    log = log_of(*documents)
    again = check_model(yaml_of(shown_of(log)))
    assert messages_of("acme", log, again.pieces, NOW) == []


TRAPS = (
    "043", "0o17", "0x1F", "1_000", "1:30", "1e3", "1.0", ".inf", "NO", "yes", "y", "n", "on", "~", "null", "", " a ",
    "2017-01-01", "=", "<<", "a: b", "a #b", "- a", "[a]", "{a}", "*a", "&a", "!a", "%a", "@a", "`a`", "'a'", '"a"',
    "a\nb", "a\tb", "ä", "名", "\u2028", "\x7f", "\ufeff", "🙂", "a" * 400, "with many words " * 30,
)  # fmt: skip


@given(st.lists(st.sampled_from(TRAPS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)))
def test_texts_stay_texts(texts: list[str]) -> None:
    """No text is read back as a number, a boolean, a date or another text, as a key or as a value."""
    document: dict[str, Any] = {"names": texts, "by_name": {text: {"of": text} for text in texts}}
    written = yaml_of(ShownModel("acme", 1, "2017-01-01T00:00:00Z", document))
    assert yaml.safe_load(written) == document


@pytest.mark.parametrize("text", ["0o17", "043", "y", "1_000", "0b1"])
def test_texts_that_another_version_of_yaml_reads_as_numbers_are_quoted(text: str) -> None:
    """A reader of YAML 1.2, or of 1.1 to the letter, finds the same texts as ours."""
    assert f'"{text}"' in yaml_of(ShownModel("acme", 1, "", {"names": [text]}))


def test_the_file_is_written_for_people() -> None:
    """Sections have the order of the documentation, parents come before their children, ids before the rest."""
    log = log_of(
        {
            "sharing": [],
            "territories": [{"rules": {}, "id": "a", "parent": "b"}, {"id": "b"}],
            "roles": [{"parent": "z", "id": "c"}, {"id": "z"}],
            "period": "month",
            "org": "acme",
        }
    )
    text = yaml_of(shown_of(log))
    assert text.startswith("# acme, revision 1, active since 2017-01-01T00:00:00.000Z\norg: acme\nperiod: month\n")
    assert text.index("id: z") < text.index("id: c") < text.index("id: b") < text.index("id: a\n")


def test_without_a_model_there_is_nothing_to_show() -> None:
    """An organisation without a model is named, with those that have one."""
    with pytest.raises(NotFound, match="'beta' has no model"):
        log_of({"org": "acme"}).required("beta")
