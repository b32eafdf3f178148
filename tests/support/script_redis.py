"""A Redis in memory that executes the product's own scripts in Lua 5.1, without a server.

It has the commands that the sinks use, and remembers them in their order, those inside scripts too. What Redis itself
guarantees, such as persistence and timeouts, is for the integration tests.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import redis.exceptions
from lupa.lua51 import LuaRuntime

Command = tuple[str, ...]


class ScriptRedis:
    """The part of `redis.asyncio.Redis` that the sinks use."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.sets: dict[str, set[str]] = {}
        self.hashes: dict[str, dict[str, str]] = {}
        self.commands: list[Command] = []
        """Every command that was executed, in order."""
        self.scripts_run: list[Sequence[str]] = []
        """The keys of every script that was executed."""
        self._scripts: dict[str, str] = {}
        self._lua: Any = LuaRuntime(encoding=None)
        library: Any = self._lua.globals()
        library[b"redis"] = self._lua.table_from({b"call": self._call})
        library[b"cmsgpack"] = self._lua.table_from({b"unpack": self._unpack})

    # --- what the client has ---

    async def execute_command(self, name: str, *arguments: Any) -> Any:
        """Execute one command, or a script."""
        if name == "SCRIPT LOAD":
            (script,) = arguments
            sha = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
            self._scripts[sha] = script
            return sha
        if name == "EVALSHA":
            sha, count, *rest = arguments
            if sha not in self._scripts:
                raise redis.exceptions.NoScriptError("NOSCRIPT")
            return self._run(self._scripts[sha], rest[:count], rest[count:])
        return self._execute(name, *map(_text, arguments))

    def register_script(self, script: str) -> Callable[..., Any]:
        """Return a callable that executes a script."""

        async def run(keys: Sequence[str], args: Sequence[Any]) -> Any:
            return self._run(script, keys, args)

        return run

    async def sscan(self, key: str, cursor: int, count: int) -> Any:
        """Return the next cursor and some members."""
        return self._execute("SSCAN", key, str(cursor), "COUNT", str(count))

    async def hscan(self, key: str, cursor: int, count: int) -> Any:
        """Return the next cursor and some fields."""
        return self._execute("HSCAN", key, str(cursor), "COUNT", str(count))

    # --- scripts ---

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        self.scripts_run.append(list(keys))
        given: Any = self._lua.globals()
        given[b"KEYS"] = _to_lua(self._lua, list(keys))
        given[b"ARGV"] = _to_lua(self._lua, [each if isinstance(each, bytes) else str(each) for each in arguments])
        return _from_lua(self._lua.execute(script.encode()))

    def _call(self, name: bytes, *arguments: Any) -> Any:
        return _to_lua(self._lua, self._execute(name.decode(), *map(_text, arguments)))

    def _unpack(self, packed: bytes) -> Any:
        return _to_lua(self._lua, msgspec.msgpack.decode(packed))

    # --- commands ---

    def _execute(self, name: str, *arguments: str) -> Any:
        self.commands.append((name, *arguments))
        return getattr(self, f"_{name.lower()}")(*arguments)

    def _get(self, key: str) -> str | None:
        return self.texts.get(key)

    def _set(self, key: str, value: str) -> Mapping[str, str]:
        self.texts[key] = value
        return {"ok": "OK"}

    def _exists(self, key: str) -> int:
        return int(key in self._keys())

    def _del(self, key: str) -> int:
        found = self._exists(key)
        for kind in (self.texts, self.sets, self.hashes):
            kind.pop(key, None)
        return found

    def _sadd(self, key: str, *members: str) -> int:
        self.sets.setdefault(key, set()).update(members)
        return len(members)

    def _srem(self, key: str, *members: str) -> int:
        left = self.sets.get(key, set()) - set(members)
        self.sets.pop(key, None)
        if left:
            self.sets[key] = left
        return len(members)

    def _hset(self, key: str, *names_and_values: str) -> int:
        self.hashes.setdefault(key, {}).update(zip(names_and_values[::2], names_and_values[1::2], strict=True))
        return len(names_and_values) // 2

    def _hdel(self, key: str, *names: str) -> int:
        left = {name: value for name, value in self.hashes.get(key, {}).items() if name not in names}
        self.hashes.pop(key, None)
        if left:
            self.hashes[key] = left
        return len(names)

    def _hmget(self, key: str, *names: str) -> list[str | None]:
        return [self.hashes.get(key, {}).get(name) for name in names]

    def _scan(self, cursor: str, *options: str) -> tuple[int, list[str]]:
        given = dict(zip(options[::2], options[1::2], strict=True))
        following, keys = _page(self._keys(), cursor, given["COUNT"])
        return following, [key for key in keys if fnmatchcase(key, given.get("MATCH", "*"))]

    def _sscan(self, key: str, cursor: str, _: str, count: str) -> tuple[int, list[str]]:
        return _page(self.sets.get(key, set()), cursor, count)

    def _hscan(self, key: str, cursor: str, _: str, count: str) -> tuple[int, dict[str, str]]:
        following, names = _page(self.hashes.get(key, {}).keys(), cursor, count)
        return following, {name: self.hashes[key][name] for name in names}

    def _keys(self) -> set[str]:
        return {*self.texts, *self.sets, *self.hashes}


def _page(names: Iterable[str], cursor: str, count: str) -> tuple[int, list[str]]:
    """Return the next cursor and a page. A cursor is a place in an order of hashes, as in Redis.

    So a name that is there all the while comes, whatever is removed between two pages.
    """
    places = sorted((1 + zlib.crc32(name.encode()), name) for name in names)
    left = [place for place in places if place[0] >= int(cursor)]
    page, rest = left[: int(count)], left[int(count) :]
    while rest and page and rest[0][0] == page[-1][0]:
        page.append(rest.pop(0))
    return (rest[0][0] if rest else 0), [name for _, name in page]


def _text(given: Any) -> str:
    return given.decode() if isinstance(given, bytes) else str(given)


def _to_lua(lua: Any, value: Any) -> Any:
    """Convert an answer or an argument: text as bytes, no value as false, as Redis does."""
    if value is None:
        return False
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, Mapping):
        return lua.table_from({name.encode(): _to_lua(lua, each) for name, each in value.items()})
    if isinstance(value, list | tuple):
        return lua.table_from([_to_lua(lua, each) for each in value])
    return value


def _from_lua(value: Any) -> Any:
    """Convert a script's answer: tables as lists, numbers as integers, as Redis does."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float):
        return int(value)
    if hasattr(value, "values"):
        return [_from_lua(each) for each in value.values()]
    return value
