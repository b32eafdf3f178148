from __future__ import annotations

import socket
from pathlib import Path

import pytest

from territory_control.local import ports
from territory_control.local.embedded_broker import HOST, free_ports
from territory_control.local.ports import choose_ports, is_free


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Free ports as the usual ones: the real ones may be taken on this machine."""
    numbers = dict(zip(("kafka", "redis"), free_ports(2), strict=True))
    monkeypatch.setattr(ports, "USUAL", numbers)
    return numbers


ANY = dict.fromkeys(("kafka", "redis", "assigner"))


def test_the_usual_ports_are_used_where_they_are_free(tmp_path: Path, usual: dict[str, int]) -> None:
    """Without a wish and without an earlier start, the ports are those that the settings name by default."""
    chosen = choose_ports(ANY, tmp_path / "ports.json", ())
    assert {name: chosen[name] for name in usual} == usual
    assert len(set(chosen.values())) == 3


def test_ports_stay_the_same_between_starts(tmp_path: Path) -> None:
    """The ports of the last start come first, also those that were free ones, unless they are taken now."""
    first = choose_ports({**ANY, "kafka": free_ports(1)[0]}, tmp_path / "ports.json", ())
    assert choose_ports(ANY, tmp_path / "ports.json", ()) == first
    with socket.socket() as other:
        other.bind((HOST, first["redis"]))
        other.listen()
        again = choose_ports(ANY, tmp_path / "ports.json", ())
    assert again["redis"] != first["redis"]
    assert {**again, "redis": 0} == {**first, "redis": 0}


def test_ports_that_another_stack_has_chosen_are_not_used(tmp_path: Path, usual: dict[str, int]) -> None:
    """A stack that has yet to listen keeps its ports."""
    chosen = choose_ports(ANY, tmp_path / "ports.json", usual.values())
    assert not set(chosen.values()) & set(usual.values())


def test_a_port_that_was_asked_for_is_never_exchanged(tmp_path: Path, usual: dict[str, int]) -> None:
    """It is returned even where it is taken: starting the server there will say so. No other name gets it."""
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        wanted = int(other.getsockname()[1])
        assert choose_ports({**ANY, "kafka": wanted}, tmp_path / "ports.json", ())["kafka"] == wanted
    chosen = choose_ports({**ANY, "assigner": usual["kafka"]}, tmp_path / "none" / "ports.json", ())
    assert chosen["assigner"] == usual["kafka"] != chosen["kafka"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kafka": "x", "redis": 70000}'])
def test_a_damaged_file_is_ignored(text: str, tmp_path: Path, usual: dict[str, int]) -> None:
    """A file with the last ports that can't be read is as good as none."""
    (tmp_path / "ports.json").write_text(text)
    assert choose_ports(ANY, tmp_path / "ports.json", ())["redis"] == usual["redis"]


def test_lingering_connections_do_not_take_a_port() -> None:
    """A port whose server has just ended is free, though its connections linger for a minute."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, 0))
        server.listen()
        port = int(server.getsockname()[1])
        assert not is_free(port)
        with socket.create_connection((HOST, port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the server's side closes first and lingers
            assert client.recv(1) == b""
    assert is_free(port)
