"""The example app as its README starts it, beside the whole stack with the example organisation."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from territory.wire.codec import decode
from territory_control.local.child_process import ChildProcess
from territory_control.local.embedded_broker import HOST, free_ports
from territory_control.local.example import example_folder, example_lines, example_model
from tests.support.house import START_SECONDS, House

pytestmark = pytest.mark.embedded

APP = Path(__file__).parents[2] / "examples" / "accounts-api"
CHANGED = "kan-code"
"""An account, two territories hold it."""


def account_lines() -> list[bytes]:
    """Return the example's accounts as its mapping prints them."""
    return [line for line in example_lines(example_folder()) if decode(line)["object"] == "account"]


@pytest.fixture
def app(embedded_house: House, tmp_path: Path) -> Iterator[httpx2.Client]:
    """Give a client of the app, whose organisation's accounts are all in the index."""
    records, lines, (port,) = tmp_path / "records.jsonl", account_lines(), free_ports(1)
    records.write_bytes(b"\n".join(line.strip() for line in lines))
    embedded_house.start_all()
    embedded_house.apply(yaml.safe_load(example_model(example_folder())))
    embedded_house.publish(map(decode, lines))
    embedded_house.wait()
    redis_url = embedded_house.settings.redis_url.get_secret_value()
    command = (sys.executable, "-m", "accounts_api", str(records), "--redis", redis_url, "--port", str(port))
    process = ChildProcess("app", command, tmp_path / "app.log", {**os.environ, "PYTHONPATH": str(APP)})
    with httpx2.Client(base_url=f"http://{HOST}:{port}") as client:
        process.start(lambda: _answers(client), START_SECONDS)
        try:
            yield client
        finally:
            process.stop()


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/accounts").status_code == httpx2.codes.UNAUTHORIZED
    except httpx2.TransportError:
        return False


def accounts_of(app: httpx2.Client, user: str) -> list[str]:
    """Return the names of all accounts that a user is shown, page by page."""
    names: list[str] = []
    following: str | None = "/accounts?limit=10"
    while following:
        page: Any = app.get(following, headers={"X-User": user}).json()
        names += [one["name"] for one in page["accounts"]]
        following = page["next"]
    return names


def test_each_is_shown_their_own(app: httpx2.Client, embedded_house: House) -> None:
    """An administrator all, a manager and an agent what the demo counts for them; a change when it is in (V1, V8)."""
    shown = {user: accounts_of(app, user) for user in ("crm-admin", "summer-sewald", "carl-lin", "nobody")}
    assert {user: len(names) for user, names in shown.items()} == {
        "crm-admin": 85, "summer-sewald": 76, "carl-lin": 9, "nobody": 0,
    }  # fmt: skip
    assert all(names == sorted(names) for names in shown.values())
    account = next(change for change in map(decode, account_lines()) if change["id"] == CHANGED)
    viewer = {"X-User": "carl-lin"}
    assert app.get(f"/accounts/{CHANGED}", headers=viewer).status_code == httpx2.codes.NOT_FOUND
    embedded_house.publish([{**account, "version": 2, "event_id": "given-away", "owner_id": "carl-lin"}])
    embedded_house.wait()
    assert app.get(f"/accounts/{CHANGED}", headers=viewer, params={"at_least": 2}).status_code == httpx2.codes.OK
