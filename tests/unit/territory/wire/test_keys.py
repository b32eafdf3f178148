"""Keys of Kafka and Redis."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from territory.model.document import OBJECTS
from territory.wire import keys

orgs = st.sampled_from(["a", "acme", "acme-2", "acme.eu", "a_b", "0", "A"])
objects = st.sampled_from(OBJECTS)
record_ids = st.text("ab/:#{}. é", min_size=1, max_size=5)
"""Ids of the CRM: nearly any character."""
model_ids = st.text("ab#.-|é", min_size=1, max_size=5)
"""Ids of the model: no white space, slash, colon or brace."""
periods = st.sampled_from(["2017-Q1", "2017-03"])
users = st.none() | model_ids
partitions = st.integers(0, 99)

THINGS: dict[Callable[..., str], st.SearchStrategy[tuple[Any, ...]]] = {
    keys.record_key: st.tuples(orgs, objects, record_ids),
    keys.model_key: st.tuples(orgs, st.sampled_from(["role", "stage", "activation"]), record_ids),
    keys.attainment_key: st.tuples(orgs, model_ids, periods, users),
    keys.partial_key: st.tuples(orgs, model_ids, periods, users, partitions),
    keys.subscription_key: st.tuples(st.builds(keys.record_key, orgs, objects, record_ids), partitions),
    keys.copy_key: st.tuples(st.builds(keys.record_key, orgs, objects, record_ids)),
    keys.visible_key: st.tuples(orgs, model_ids, objects),
    keys.editable_key: st.tuples(orgs, model_ids, objects),
    keys.admins_key: st.tuples(orgs),
    keys.record_hash_key: st.tuples(orgs, objects, record_ids),
    keys.attainment_hash_key: st.tuples(orgs, model_ids, periods, users),
    keys.left_out_key: st.tuples(orgs),
    keys.index_key: st.tuples(orgs),
}
"""Every function that builds a key, with its arguments."""
REDIS: set[Callable[..., str]] = {
    *(keys.visible_key, keys.editable_key, keys.admins_key, keys.record_hash_key),
    *(keys.attainment_hash_key, keys.left_out_key, keys.index_key),
}


FOLLOWED = st.builds(keys.record_key, orgs, st.sampled_from(["contact", "account"]), record_ids)


@given(FOLLOWED, partitions, record_ids)
def test_keys_of_subscriptions(key: str, partition: int, record_id: str) -> None:
    """A contact's place, a subscription and a copy have keys of three kinds, whatever the ids contain."""
    place = keys.record_key(keys.org_of(key), "contact", record_id)
    subscription, copied = keys.subscription_key(key, partition), keys.copy_key(key)
    assert len({place, subscription, copied}) == 3
    assert keys.parse_subscription_key(place) == (place, None, False)
    assert keys.parse_subscription_key(subscription) == (key, partition, False)
    assert keys.parse_subscription_key(copied) == (key, None, True)


@pytest.mark.parametrize(
    "key", ["acme/deal/D", "acme/copied/deal/D", "acme/copied/D", "acme/subscribed/-1/contact/C", "acme/x", "acme"]
)
def test_keys_that_are_no_subscription(key: str) -> None:
    """Other keys are refused."""
    with pytest.raises(ValueError):  # noqa: PT011 -- any
        keys.parse_subscription_key(key)


@pytest.mark.parametrize("build", THINGS, ids=lambda build: build.__name__)
@given(st.data())
def test_keys_never_collide(build: Callable[..., str], data: st.DataObject) -> None:
    """Different arguments give different keys, whatever characters the ids contain."""
    one, other = data.draw(THINGS[build]), data.draw(THINGS[build])
    assert (build(*one) == build(*other)) is (one == other)


@given(st.data())
def test_no_two_kinds_share_a_redis_key(data: st.DataObject) -> None:
    """Redis keys of different kinds differ: each kind has its own prefix."""
    builders: list[Callable[..., str]] = data.draw(st.permutations(sorted(REDIS, key=lambda build: build.__name__)))
    one, other = (build(*data.draw(THINGS[build])) for build in builders[:2])
    assert one.split(":{")[0] != other.split(":{")[0]


@given(THINGS[keys.record_key])
def test_record_keys(thing: tuple[str, str, str]) -> None:
    """Parsing a record's key is the inverse of building it."""
    key = keys.record_key(*thing)
    assert keys.parse_record_key(key) == thing
    assert keys.org_of(key) == thing[0]


@given(THINGS[keys.partial_key])
def test_partial_keys(thing: tuple[str, str, str, str | None, int]) -> None:
    """Parsing a partial's key is the inverse of building it, and it differs from the keys of sweep markers."""
    assert keys.parse_partial_key(keys.partial_key(*thing)) == thing
    for ended in (False, True):
        assert keys.parse_partial_key(keys.swept_key(thing[0], thing[-1], ended=ended)) is None


@given(st.sampled_from([keys.visible_key, keys.editable_key]), THINGS[keys.visible_key])
def test_set_keys(build: Callable[..., str], thing: tuple[str, str, str]) -> None:
    """Parsing the key of a set is the inverse of building it."""
    assert keys.parse_set_key(build(*thing)) == (build.__name__.removesuffix("_key"), *thing)


@given(THINGS[keys.attainment_key])
def test_every_kafka_key_starts_with_the_organisation(thing: tuple[str, str, str, str | None]) -> None:
    """The organisation is the first part of any key on Kafka."""
    assert keys.org_of(keys.attainment_key(*thing)) == thing[0]
    assert keys.org_of(keys.partial_key(*thing, 7)) == thing[0]
    assert keys.org_of(keys.model_key(thing[0], "role", "a/b")) == thing[0]


@given(THINGS[keys.attainment_hash_key])
def test_attainment_hash_keys(thing: tuple[str, str, str, str | None]) -> None:
    """Parsing the key of an attainment's hash is the inverse of building it."""
    assert keys.parse_attainment_hash_key(keys.attainment_hash_key(*thing)) == thing


def test_the_keys_of_the_contract() -> None:
    """Keys that outsiders read are those of the contract."""
    assert keys.record_key("acme", "deal", "D-1") == "acme/deal/D-1"
    assert keys.attainment_key("acme", "us-west", "2017-Q1", None) == "acme/us-west/2017-Q1"
    assert keys.attainment_key("acme", "us-west", "2017-Q1", "u7") == "acme/us-west/2017-Q1/u7"
    assert keys.visible_key("acme", "u7", "account") == "visible:{acme:u7}:account"
    assert keys.editable_key("acme", "u7", "account") == "editable:{acme:u7}:account"
    assert keys.admins_key("acme") == "admins:{acme}"
    assert keys.record_hash_key("acme", "deal", "D-1") == "record:{acme:deal:D-1}"
    assert keys.attainment_hash_key("acme", "us-west", "2017-Q1", None) == "attainment:{acme}:us-west:2017-Q1"
    assert keys.attainment_hash_key("acme", "us-west", "2017-Q1", "u7") == "attainment:{acme}:us-west:2017-Q1:u7"
    assert keys.index_key("acme") == "index:{acme}"


@given(orgs, model_ids, objects)
def test_a_user_s_sets_are_in_one_slot(org: str, user: str, object_type: str) -> None:
    """A user's sets share a hash tag, so that a cluster keeps them on one node and they change together."""
    tags = {
        re.findall(r"\{(.*?)\}", build(org, user, object_type))[0] for build in (keys.visible_key, keys.editable_key)
    }
    assert tags == {f"{org}:{user}"}


@pytest.mark.parametrize("key", ["", "acme", "acme/deal"])
def test_malformed_record_keys(key: str) -> None:
    """A key with too few parts is refused."""
    with pytest.raises(ValueError, match="unpack"):
        keys.parse_record_key(key)


@pytest.mark.parametrize(
    ("object_type", "account", "contact", "head"),
    [
        ("account", None, None, "account/x"),
        ("account", "A", "C", "account/x"),  # an account is the head of its own family
        ("contact", "A", None, "account/A"),
        ("contact", None, None, "contact/x"),
        ("lead", "A", "C", "lead/x"),
        ("deal", "A", None, "account/A"),
        ("deal", "A", "C", "account/A"),
        ("deal", None, "C", "contact/C"),
        ("deal", None, None, "deal/x"),
    ],
)
def test_families(object_type: str, account: str | None, contact: str | None, head: str) -> None:
    """Contacts and deals are in the family of their account; a deal without an account is in its contact's (A5, A6)."""
    assert keys.family_key("acme", object_type, "x", account, contact) == f"acme/{head}"


@given(record_ids, st.integers(1, 100))
def test_partitions_are_in_range(route: str, partitions: int) -> None:
    """A route maps to one of the existing partitions."""
    assert 0 <= keys.partition_of(route, partitions) < partitions
    assert keys.partition_of(route, 1) == 0


def test_partitions_never_change() -> None:
    """The partition of a route is the same in every release, because existing state depends on it."""
    assert [keys.partition_of(route, 12) for route in ("acme/account/A-1", "acme/deal/D-1", "é")] == [1, 9, 2]


@given(st.text(max_size=40), st.integers(1, 64))
def test_home_is_the_partition_that_kafkas_clients_choose(key: str, partitions: int) -> None:
    """So changes of most upstreams, and those published by hand, arrive at the home of their record (A13)."""
    everywhere = list(range(partitions))
    assert keys.upstream_partition_of(key, partitions) == DefaultPartitioner()(key.encode(), everywhere, everywhere)
