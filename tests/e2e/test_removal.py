"""`territory organisation remove` on real servers, while another organisation's traffic goes on (A12)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from itertools import islice

import pytest
import redis

from tests.e2e.test_faults import MODEL, ORG, OTHER_MODEL, histories
from tests.support.house import House, compare
from tests.support.oracle import expected

pytestmark = [pytest.mark.kafka]

OTHER = "stays"
MODEL_OF_OTHER = OTHER_MODEL | {"org": OTHER}
COMMAND_SECONDS = 150


def remove(house: House, org: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a script does."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TERRITORY_")}
    return subprocess.run(
        [sys.executable, "-m", "territory_control", "organisation", "remove", org, *options],
        env=environment | house._environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_an_organisation_is_removed_under_traffic(kafka_house: House) -> None:
    """Nothing of it is left in Kafka's end state and in Redis; the other's end state is the oracle's (A12)."""
    house = kafka_house
    house.apply(MODEL)
    house.apply(MODEL_OF_OTHER)
    house.start_all()
    changes = [each for change in islice(histories(seed=5), 1_500) for each in (change, change | {"org_id": OTHER})]
    first, late = changes[:2_000], changes[2_000:]
    house.publish(first)
    house.wait()
    assert house.found(ORG).assignments
    refused = remove(house, ORG)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "with --yes it does not ask" in refused.stderr
    unknown = remove(house, "nobody", "--yes")
    assert unknown.returncode == 1
    assert "'nobody' is unknown" in unknown.stderr

    def publish_late() -> None:
        for at in range(0, len(late), 50):
            house.publish(late[at : at + 50])

    traffic = threading.Thread(target=publish_late)
    traffic.start()
    done = remove(house, ORG, "--yes", "--json")
    traffic.join()
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["org_id"], outcome["revision"], outcome["done"]) == (ORG, 2, True)
    house.wait()
    found = house.found_of([ORG, OTHER])
    assert (found[ORG].assignments, found[ORG].attainments_said) == ({}, {})
    with redis.Redis.from_url(house.settings.redis_url.get_secret_value(), decode_responses=True) as client:
        left = [key for end in ("}", ":") for key in client.scan_iter(match=f"*{{{ORG}{end}*")]
    assert left == []
    assert compare(found[OTHER], OTHER, expected({OTHER: MODEL_OF_OTHER}, changes)) == []
    assert remove(house, ORG, "--yes").returncode == 0  # harmless to repeat
