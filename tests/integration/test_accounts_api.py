"""The example app that lists accounts: pages, refusals and an unreachable index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from fastapi.testclient import TestClient

from access_indexer.core.changes import AdminsState, IndexChange, RecordState, SetChange, SetKind
from access_indexer.redis.writer import RedisIndexWriter
from accounts_api.accounts import Account, Accounts, read_accounts
from accounts_api.app import CANDIDATES, make_app
from territory.wire.keys import visible_key
from territory_control.local.embedded_broker import HOST, free_ports
from tests.integration.examples import redis_client

COUNT = 3 * CANDIDATES + 7
IDS = [f"A-{number:04}" for number in range(COUNT)]
NAMES = {one: f"Name {number * 7919 % 400:03}" for number, one in enumerate(IDS)}
"""Ordered differently from the ids; some names occur twice."""
ALL = sorted(IDS, key=lambda one: (NAMES[one], one))
SPARSE = [one for one in ALL if int(one[2:]) % 40 == 0]
"""Visible to u7: fewer than a page among the candidates of one question."""
EDITED = [one for one in SPARSE if int(one[2:]) % 80 == 0]
HIDDEN = next(one for one in ALL if one not in SPARSE)
LAST = ALL[-20:]
"""Visible to u8: exactly one page at the end of the list."""


def filled() -> Accounts:
    """Return the app's accounts, unsorted."""
    accounts = Accounts()
    accounts.put(Account(id=one, version=3, name=NAMES[one], sector="retail") for one in IDS)
    return accounts


@pytest.fixture
def org(redis_url: str, unique: str) -> str:
    """Provide an organisation with an index for u7, u8 and the administrator root."""
    org_id = unique[-90:].strip("-")

    def members(kind: SetKind, user: str, ids: list[str]) -> list[IndexChange]:
        return [SetChange(org_id, kind, user, "account", ids, True)]

    changes: list[IndexChange] = [
        AdminsState(org_id, frozenset({"root"})),
        *members("visible", "u7", [*SPARSE, "A-unknown"]),
        *members("editable", "u7", EDITED),
        *members("visible", "u8", LAST),
        RecordState(org_id, "account", SPARSE[0], 3, "u7", (), 1),
        RecordState(org_id, "account", HIDDEN, 3, None, (), 1),
    ]

    async def write() -> None:
        async with redis_client(redis_url) as client:
            await RedisIndexWriter(client, "access-indexer", 1).apply(changes, [])

    asyncio.run(write())
    return org_id


@pytest.fixture
def api(redis_url: str, org: str) -> Iterator[TestClient]:
    """Provide the app."""
    with TestClient(make_app(filled(), redis_url, org)) as client:
        yield client


def by(user: str) -> dict[str, str]:
    """Return the headers of a request of a user."""
    return {"X-User": user}


def pages_of(api: TestClient, user: str, limit: int = 20) -> list[list[dict[str, Any]]]:
    """Return all of a user's pages, following `next`."""
    pages, following = [], f"/accounts?limit={limit}"
    while following:
        answer = api.get(following, headers=by(user))
        assert answer.status_code == 200
        pages.append(answer.json()["accounts"])
        following = answer.json()["next"]
    return pages


def ids_of(pages: list[list[dict[str, Any]]]) -> list[str]:
    return [one["id"] for page in pages for one in page]


def test_pages_are_full_and_sorted(api: TestClient) -> None:
    """Pages are full and hold only accounts that the user sees (V1)."""
    pages = pages_of(api, "u7")
    assert ids_of(pages) == SPARSE
    assert {len(page) for page in pages[:-1]} == {20}
    assert 0 < len(pages[-1]) <= 20
    assert {one["id"] for page in pages for one in page if one["can_edit"]} == set(EDITED)


def test_page_filled_by_one_question_has_a_next_page(api: TestClient) -> None:
    """The app looks for a next account among those it has not asked about (V1)."""
    first = [one for one in ALL[:CANDIDATES] if one in SPARSE]
    pages = pages_of(api, "u7", limit=len(first))
    assert ids_of(pages[:1]) == first
    assert ids_of(pages) == SPARSE


def test_exactly_full_page_is_the_last(api: TestClient) -> None:
    """`next` never leads to an empty page (V1)."""
    assert [ids_of([page]) for page in pages_of(api, "u8")] == [LAST]
    assert [len(page) for page in pages_of(api, "u8", limit=10)] == [10, 10]


def test_administrators_see_all_and_strangers_nothing(api: TestClient) -> None:
    """An administrator sees every account, an unknown user none (V1)."""
    pages = pages_of(api, "root", limit=100)
    assert ids_of(pages) == ALL
    assert all(one["can_edit"] for page in pages for one in page)
    assert pages_of(api, "nobody") == [[]]


def test_invisible_accounts_look_missing(api: TestClient) -> None:
    """An account that a user may not see answers like one that does not exist (V1)."""
    assert api.get(f"/accounts/{SPARSE[0]}", headers=by("u7")).json()["name"] == NAMES[SPARSE[0]]
    assert api.get(f"/accounts/{HIDDEN}", headers=by("root")).status_code == 200
    for asked in (f"/accounts/{HIDDEN}", "/accounts/A-none", "/accounts/A-unknown"):
        shown, edited = api.get(asked, headers=by("u7")), api.patch(asked, json={"sector": "x"}, headers=by("u7"))
        assert shown.status_code == edited.status_code == 404
        assert shown.json() == edited.json() == {"detail": f"you see no account {asked.split('/')[-1]!r}"}
    assert api.get("/accounts/A-none", headers=by("root")).status_code == 404


def test_editing_needs_edit_access(api: TestClient) -> None:
    """Read access answers 403 to an edit; edit access allows it (V3)."""
    read_only = next(one for one in SPARSE if one not in EDITED)
    assert api.patch(f"/accounts/{read_only}", json={"sector": "x"}, headers=by("u7")).status_code == 403
    assert api.get(f"/accounts/{read_only}", headers=by("u7")).json()["sector"] == "retail"
    for user, sector in (("u7", "medical"), ("root", None)):
        changed = api.patch(f"/accounts/{EDITED[0]}", json={"sector": sector}, headers=by(user))
        assert changed.status_code == 200
        assert changed.json() == api.get(f"/accounts/{EDITED[0]}", headers=by("u7")).json()
        assert changed.json()["sector"] == sector
    assert changed.json()["version"] == 5
    assert api.patch(f"/accounts/{EDITED[0]}", json={"id": "x"}, headers=by("u7")).status_code == 422


def test_revocation_takes_effect_with_the_next_request(api: TestClient, redis_url: str, org: str) -> None:
    """Answers are not cached (V5)."""
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.srem(visible_key(org, "u7", "account"), SPARSE[0])
    assert api.get(f"/accounts/{SPARSE[0]}", headers=by("u7")).status_code == 404
    assert ids_of(pages_of(api, "u7")) == SPARSE[1:]


def test_version_that_is_not_indexed_yet(api: TestClient) -> None:
    """The app answers 503, the same for existing and missing accounts (V8)."""
    assert api.get(f"/accounts/{SPARSE[0]}?at_least=3", headers=by("u7")).status_code == 200
    answers = [
        api.get(f"/accounts/{one}?at_least=4", headers=by(user))
        for one, user in ((SPARSE[0], "u7"), (HIDDEN, "u7"), ("A-none", "u7"), ("A-none", "root"))
    ]
    assert {answer.status_code for answer in answers} == {503}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/accounts"), ("GET", f"/accounts/{IDS[0]}"), ("PATCH", f"/accounts/{IDS[0]}")]
)
def test_unreachable_index(method: str, path: str) -> None:
    """Everybody gets 503 with Retry-After and no data."""
    (port,) = free_ports(1)
    with TestClient(make_app(filled(), f"redis://{HOST}:{port}", "acme")) as client:
        answer = client.request(method, path, headers=by("root"), json={} if method == "PATCH" else None)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert str(port) not in answer.text


def test_request_without_a_user(api: TestClient) -> None:
    """It is answered with 401."""
    for path in ("/accounts", f"/accounts/{IDS[0]}"):
        assert api.get(path).status_code == 401


def test_accounts_are_read_from_record_changes() -> None:
    """Only accounts are read, with the fields that the app knows."""
    lines = [
        '{"object": "account", "op": "upsert", "id": "A-1", "version": 2, "fields": {"name": "Acme", "revenue": "1"}}',
        '{"object": "deal", "op": "upsert", "id": "D-1", "version": 1, "fields": {}}',
    ]
    assert list(read_accounts(lines)) == [Account(id="A-1", version=2, name="Acme")]
