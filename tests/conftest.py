"""What every test stands on: a home of its own, no keys, and no network beyond this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

import pytest

KEY_ENDINGS = ("_API_KEY", "_API_TOKEN", "_ACCESS_TOKEN")
STATE_VARIABLES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "ANTIPHON_DEBUG", "NO_COLOR", "FORCE_COLOR")


class NetworkRefused(AssertionError):
    """A test tried to reach beyond this machine."""


@pytest.fixture(scope="session")
def real_home() -> Path:
    """The home folder of whoever runs the tests: where the embedded model's file is shared from."""
    return Path(os.environ.get("ANTIPHON_TEST_REAL_HOME") or Path.home())


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, real_home: Path) -> Path:
    """A home folder for this test alone, for child processes as well. Keys of providers are out of reach."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ANTIPHON_TEST_REAL_HOME", str(real_home))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ANTIPHON_HOME", str(home / "antiphon"))
    for name in list(os.environ):
        if name.endswith(KEY_ENDINGS) or name in STATE_VARIABLES:
            monkeypatch.delenv(name)
    return home


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to other machines, and look-ups of their names, fail the test that makes them."""
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _refuse_remote(self.family, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_remote(self.family, address)
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *args: Any, **options: Any) -> Any:
        if not _is_local(host):
            raise NetworkRefused(f"a test looked up the host {host!r}")
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)


def _refuse_remote(family: int, address: Any) -> None:
    if family in {socket.AF_INET, socket.AF_INET6} and not _is_local(address[0]):
        raise NetworkRefused(f"a test connected to {address!r}")


def _is_local(host: Any) -> bool:
    if host in {None, "", b"", "localhost", b"localhost"}:
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.split("%", 1)[0])
    except ValueError:
        return text.endswith((".localhost", ".invalid"))
    return address.is_loopback or address.is_unspecified
