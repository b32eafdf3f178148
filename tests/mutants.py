"""Breaks guarantees one at a time and sees that the nearest tests of `make check` notice.

`python -m tests.mutants [NAME ...]`, or `make mutants`. Each mutant changes one line of the product, in a copy of the
tree. It is *killed* when the tests named for it fail. A mutant that survives, or whose line is not there any more, is
an error: the guarantee has lost its test, or the table has to follow the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = ("schemas", "services", "tests", "examples", "docs", "benchmarks", "deploy", "pyproject.toml", "README.md")
SECONDS_MAX = 300

LOOP = "services/runtime/territory_runtime/loop"
KAFKA = "services/runtime/territory_runtime/kafka"
REDIS = "services/runtime/territory_runtime/redis"
ASSIGNMENT = "services/assigner/assigner/assignment"
MODEL = "schemas/territory/model"
INDEXER = "services/access-indexer/access_indexer"
UNIT = "tests/unit"
LOOP_TESTS = f"{UNIT}/territory_runtime/loop"


class Mutant(NamedTuple):
    """One broken guarantee.

    Attributes:
        name: What is broken.
        file: Where.
        line: The text that gives the guarantee; it must be there once.
        broken: What stands in its place.
        tests: The tests that have to fail.
    """

    name: str
    file: str
    line: str
    broken: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "commit before publishing",
        f"{LOOP}/checkpoint.py",
        "        # 2. Write the sink, while steps 1 and 3 go on: its readers need not wait for a broker.\n",
        "        await self.commit({number: task.metadata for number, task in batch.tasks.items()}, batch.tasks)\n",
        (f"{LOOP_TESTS}/test_checkpoint.py", f"{LOOP_TESTS}/test_task_loop.py"),
    ),
    Mutant(
        "changelog before outputs",
        f"{LOOP}/checkpoint.py",
        "            await self._send(batch.effects.messages, encoded)\n",
        "            await self._send(batch.effects.state, encoded)\n"
        "            await self._send(batch.effects.messages, encoded)\n",
        (f"{LOOP_TESTS}/test_checkpoint.py",),
    ),
    Mutant(
        "a batch after a rebalance",
        f"{LOOP}/task_loop.py",
        "                if self._is_settled and generation == self._generation:\n",
        "                if True:\n",
        (f"{LOOP_TESTS}/test_task_loop.py",),
    ),
    Mutant(
        "tasks dropped while a rebalance lasts",
        f"{LOOP}/task_loop.py",
        "        if self._rebalancing:  # most partitions come back: only the new assignment says which to drop\n",
        "        if self._rebalancing:\n            self._tasks.clear()\n",
        (f"{LOOP_TESTS}/test_task_loop.py",),
    ),
    Mutant(
        "no epoch begun",
        f"{LOOP}/restore.py",
        "        begun = await begin_epoch(store.fences if store is not None else None, number, metadata, commit)\n",
        "        begun = await begin_epoch(None, number, metadata._replace(epoch=0), commit)\n"
        "        if store is not None:\n"
        "            store.fences._taken.setdefault(number, (1, 0))\n",
        (f"{LOOP_TESTS}/test_task_loop.py",),
    ),
    Mutant(
        "lease renewed amid a rebalance",
        f"{KAFKA}/lease.py",
        "        if not self._is_rebalancing:\n",
        "        if True:\n",
        (f"{LOOP_TESTS}/test_task_loop.py",),
    ),
    Mutant(
        "compaction gap never seen",
        f"{LOOP}/restore.py",
        "                        return age_ms < COMPACTION_LAG_MS / 2\n",
        "                        return True\n",
        (f"{LOOP_TESTS}/test_restore.py",),
    ),
    Mutant(
        "restore past the committed offset",
        f"{LOOP}/restore.py",
        "                    if up_to is not None and message.offset >= up_to:\n",
        "                    if up_to is not None and message.offset > up_to:\n",
        (f"{LOOP_TESTS}/test_restore.py",),
    ),
    Mutant(
        "target snapshot not committed before its output",
        f"{LOOP}/partition_task.py",
        "            committed is None or committed.target != self.snapshot.id or committed.edition != self._edition\n",
        "            False\n",
        (f"{LOOP_TESTS}/test_task_loop.py", f"{LOOP_TESTS}/test_partition_task.py"),
    ),
    Mutant(
        "edition not committed before its output",
        f"{LOOP}/partition_task.py",
        " or committed.edition != self._edition\n",
        "\n",
        (f"{LOOP_TESTS}/test_partition_task.py",),
    ),
    Mutant(
        "output of another edition taken for ours",
        f"{LOOP}/commit_metadata.py",
        "        or metadata.edition != edition\n",
        "",
        (f"{LOOP_TESTS}/test_restore.py", f"{LOOP_TESTS}/test_model_snapshot.py"),
    ),
    Mutant(
        "offset committed beyond an unfinished fan-out",
        f"{LOOP}/partition_task.py",
        "        for topic, unfinished in self._unfinished_from.items():\n",
        "        for topic, unfinished in {}.items():\n",
        (f"{LOOP_TESTS}/test_batch.py",),
    ),
    Mutant(
        "a poison message stops the stream",
        f"{LOOP}/partition_task.py",
        "            if stop_on_error:\n",
        "            if True:\n",
        (f"{LOOP_TESTS}/test_batch.py",),
    ),
    Mutant(
        "a batch never yields",
        f"{LOOP}/budget.py",
        "            await asyncio.sleep(0)\n",
        "            pass\n",
        (f"{LOOP_TESTS}/test_batch.py",),
    ),
    Mutant(
        "upstream watermark without all partitions",
        f"{LOOP}/upstream_watermark.py",
        "    if len(metadata) < partitions:\n",
        "    if not metadata:\n",
        (f"{LOOP_TESTS}/test_upstream_watermark.py",),
    ),
    Mutant(
        "model topic end < position",
        f"{LOOP}/model_watcher.py",
        "        is_replaced = end <= position\n",
        "        is_replaced = end < position\n",
        (f"{LOOP_TESTS}/test_model_watcher.py",),
    ),
    Mutant(
        "unbounded backoff",
        "services/runtime/territory_runtime/retry.py",
        "        seconds = min(2 * seconds, BACKOFF_SECONDS_MAX)\n",
        "        seconds = 2 * seconds\n",
        (f"{UNIT}/territory_runtime/test_retry.py",),
    ),
    Mutant(
        "a day passes during a fan-out",
        f"{LOOP}/partition_task.py",
        "        return not ((self.sweeps or self.is_unfinished) and self._passes_a_day(newest))\n",
        "        return not (self.sweeps and self._passes_a_day(newest))\n",
        (f"{LOOP_TESTS}/test_partition_task.py",),
    ),
    Mutant(
        "input not paused for a day that waits for a fan-out",
        f"{LOOP}/partition_task.py",
        "        return is_new and self.is_unfinished and not self.sweeps and self._passes_a_day(newest)\n",
        "        return False\n",
        (f"{LOOP_TESTS}/test_partition_task.py",),
    ),
    Mutant(
        "paused input processed",
        f"{LOOP}/partition_task.py",
        "        return len(self.queue) > 0 and not self.is_input_paused\n",
        "        return len(self.queue) > 0\n",
        (f"{LOOP_TESTS}/test_batch.py",),
    ),
    Mutant(
        "lease does not guard the producer",
        f"{KAFKA}/lease.py",
        "    before_each_produce(producer, lease.require)\n",
        "    before_each_produce(producer, lambda: None)\n",
        tuple(f"{UNIT}/territory_runtime/kafka/test_{name}.py" for name in ("lease", "producer", "aiokafka_internals")),
    ),
    Mutant(
        "send faults swallowed",
        f"{KAFKA}/producer.py",
        "                metrics.MESSAGES_SENT.labels(topic=topic).inc(len(group))\n        raise_first(faults)\n",
        "                metrics.MESSAGES_SENT.labels(topic=topic).inc(len(group))\n",
        (f"{UNIT}/territory_runtime/kafka/test_producer.py",),
    ),
    Mutant(
        "what came last leaves first",
        f"{KAFKA}/assignor.py",
        "sorted(owned, key=owned.__getitem__)",
        "sorted(owned)",
        (f"{UNIT}/territory_runtime/kafka/test_assignor.py",),
    ),
    Mutant(
        "a newcomer gets as many as its predecessor",
        f"{KAFKA}/assignor.py",
        "            size[member] = min(left, share + 1)\n",
        "            size[member] = 0\n",
        (f"{UNIT}/territory_runtime/kafka/test_assignor.py",),
    ),
    Mutant(
        "fence accepts an older epoch",
        f"{REDIS}/pipe.py",
        "  if epoch and tonumber(epoch) > tonumber(ARGV[n]) then return {'fenced', epoch} end\n",
        "",
        (f"{UNIT}/territory_runtime/redis/test_pipe.py",),
    ),
    Mutant(
        "no move to the model before a removal",
        f"{ASSIGNMENT}/stage.py",
        "            self._move_to(policy, family, effects)  # first: what was emitted so far counted the record\n",
        "            pass\n",
        (f"{UNIT}/assigner/assignment/test_stage.py", f"{UNIT}/assigner/assignment/test_fan_out.py"),
    ),
    Mutant(
        "no move of a large family to the model before a removal",
        f"{ASSIGNMENT}/stage.py",
        "            self._begin_move_to(policy, family, offset, family_key)\n",
        "            pass\n",
        (f"{UNIT}/assigner/assignment/test_stage.py", f"{UNIT}/assigner/assignment/test_fan_out.py"),
    ),
    Mutant(
        "fan-out emits nothing after a skipped state",
        f"{ASSIGNMENT}/fan_out.py",
        "        if before == after and of_model + of_heads == 1:\n",
        "        if before == after:\n",
        (f"{UNIT}/assigner/assignment/test_fan_out.py",),
    ),
    Mutant(
        "superseded models kept after a transition",
        f"{INDEXER}/core/model_transition.py",
        "        self.is_complete, self._previous = True, None\n        self._superseded = None\n",
        "        self.is_complete, self._previous = True, None\n",
        (f"{UNIT}/access_indexer/core/test_model_transition.py", f"{UNIT}/access_indexer/core/test_stage.py"),
    ),
    Mutant(
        "decisions under an unknown, newer model grant at once",
        f"{INDEXER}/core/model_transition.py",
        "        if model_revision > self.target.model.revision:\n",
        "        if False:\n",
        (f"{UNIT}/access_indexer/core/test_model_transition.py", f"{UNIT}/access_indexer/core/test_stage.py"),
    ),
    Mutant(
        "deactivated members of groups own",
        f"{MODEL}/compiled.py",
        "    active = [user for user in document.users if user.active]\n",
        "    active = [*document.users]\n",
        (f"{UNIT}/access_indexer/core/test_viewers.py", f"{UNIT}/territory/model/test_compiled.py"),
    ),
    Mutant(
        "roles of groups give nothing",
        f"{MODEL}/compiled.py",
        "        members = members.union(*(holders.get(role, ()) for role in group.roles))\n",
        "        members = frozenset(members)\n",
        (f"{UNIT}/access_indexer/core/test_viewers.py", f"{UNIT}/territory/model/test_compiled.py"),
    ),
    Mutant(
        "superiors of members see nothing by an owning group",
        f"{INDEXER}/core/viewers.py",
        "            users = owners.union(*(self.model.superiors[role] for role in roles))\n",
        "            users = owners\n"
        "            if owner_id in self.model.people:\n"
        "                users = owners.union(*(self.model.superiors[role] for role in roles))\n",
        (f"{UNIT}/access_indexer/core/test_viewers.py",),
    ),
    Mutant(
        "a permission for one object is for all",
        f"{INDEXER}/core/viewers.py",
        "        writable = object_type in self.model.territories[territory_id].writable\n",
        "        writable = bool(self.model.territories[territory_id].writable)\n",
        (f"{UNIT}/access_indexer/core/test_viewers.py",),
    ),
    Mutant(
        "superseded models forget who owned by groups",
        f"{INDEXER}/core/viewers.py",
        "        for owner_id in (*model.people, *model.groups):\n",
        "        for owner_id in model.people:\n",
        (f"{UNIT}/access_indexer/core/test_model_transition.py",),
    ),
    Mutant(
        "groups ignored by an earlier version stay ignored",
        f"{INDEXER}/app.py",
        "        edition=EDITION,\n",
        "",
        (f"{UNIT}/test_versions.py",),
    ),
    Mutant(
        "deals of groups are in a user's sum",
        "services/forecast-aggregator/forecast_aggregator/partials/contribution.py",
        "        owner_id=None if assignment.owner_id in model.groups else assignment.owner_id,\n",
        "        owner_id=assignment.owner_id,\n",
        (f"{UNIT}/forecast_aggregator/partials/test_contribution.py",),
    ),
    Mutant(
        "Redis grants before it revokes",
        f"{INDEXER}/redis/writer.py",
        "((pipeline.srem, False), (pipeline.sadd, True))",
        "((pipeline.sadd, True), (pipeline.srem, False))",
        (f"{UNIT}/access_indexer/redis/test_writer.py",),
    ),
    Mutant(
        "17 digits of a number read as a float",
        "schemas/territory/wire/codec.py",
        "FLOAT_DIGITS_MAX = 15\n",
        "FLOAT_DIGITS_MAX = 17\n",
        (f"{UNIT}/territory/wire/test_codec.py",),
    ),
)


def main(names: list[str]) -> int:
    """Try the mutants whose names contain one of the words; return how many were not killed."""
    chosen = [mutant for mutant in MUTANTS if not names or any(name in mutant.name for name in names)]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
            else:
                shutil.copy(source, tree / name)
        survivors = [mutant for mutant in chosen if not _is_killed(mutant, tree)]
    sys.stdout.write(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants killed\n")
    return len(survivors)


def _is_killed(mutant: Mutant, tree: Path) -> bool:
    path = tree / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.line) != 1:
        sys.stdout.write(f"NOT APPLIED  {mutant.name}: its line is {text.count(mutant.line)} times in {mutant.file}\n")
        return False
    path.write_text(text.replace(mutant.line, mutant.broken), encoding="utf-8")
    try:
        is_killed = not _pass(mutant.tests, tree)
    finally:
        path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{'killed     ' if is_killed else 'SURVIVED   '}  {mutant.name}\n")
    sys.stdout.flush()
    return is_killed


def _pass(tests: tuple[str, ...], tree: Path) -> bool:
    """Whether tests pass in a tree. Tests that hang fail."""
    packages = [str(folder) for folder in (tree / "schemas", *(tree / "services").iterdir()) if folder.is_dir()]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tree), *packages]), "HYPOTHESIS_PROFILE": "quick"}
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests)
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1):
        raise SystemExit(f"the tests could not be run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
