"""SDK clients: one per server and key on each event loop, with the connections that go with it."""

from __future__ import annotations

import asyncio
import ipaddress
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from antiphon.errors import BackendError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_Key = tuple[str, str]
_open: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, Client]] = weakref.WeakKeyDictionary()


class Client:
    """A share in the client of a server. `close` gives the share back; the last one closes the connections."""

    def __init__(self, key: _Key, sdk: AsyncOpenAI) -> None:
        self.sdk = sdk
        self._key = key
        self._shares = 0

    @classmethod
    def of(cls, base_url: str, secret: str) -> Client:
        """The client of this server and key on the running loop. No key, no Authorization header."""
        clients = _open.setdefault(asyncio.get_running_loop(), {})
        key = (base_url, secret)
        client = clients.get(key)
        if client is None:
            client = clients[key] = cls(key, _sdk_client(base_url, secret))
        client._shares += 1
        return client

    async def close(self) -> None:
        self._shares -= 1
        if self._shares > 0:
            return
        clients = _open.get(asyncio.get_running_loop(), {})
        if clients.get(self._key) is self:
            del clients[self._key]
        await self.sdk.close()


def _sdk_client(base_url: str, secret: str) -> AsyncOpenAI:
    import httpx2
    from openai import AsyncOpenAI, Omit

    from antiphon.backends.http_transport import StreamingTransport

    headers: dict[str, str | Omit] = {
        "Accept": "text/event-stream, application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": "antiphon",
        "Authorization": f"Bearer {secret}" if secret else Omit(),
    }

    class Sdk(AsyncOpenAI):
        """Sends these headers only, whatever the SDK's environment variables hold: they are for another server."""

        @property
        def default_headers(self) -> dict[str, str | Omit]:
            return headers

        def _validate_headers(self, headers: Mapping[str, object], custom_headers: Mapping[str, object]) -> None:
            """A server without a key is fine."""

    direct = is_loopback(base_url) or not _proxies()
    http = httpx2.AsyncClient(
        transport=StreamingTransport() if direct else None,
        trust_env=not direct,
        follow_redirects=True,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100),
    )
    parts = urlsplit(base_url)
    return Sdk(
        api_key=secret or "none",
        base_url=urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
        default_query=dict(parse_qsl(parts.query)),
        max_retries=0,
        http_client=http,
    )


def _proxies() -> bool:
    from urllib.request import getproxies

    return any(scheme in ("http", "https", "all") for scheme in getproxies())


def is_loopback(base_url: str) -> bool:
    """Whether a server is on this machine."""
    name = (urlsplit(base_url).hostname or "").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def checked_base_url(base_url: str) -> str:
    """The base URL without a slash at its end. Raises `BackendError` when it is no http or https URL."""
    try:
        parts = urlsplit(base_url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise BackendError(
            f"base_url is not an http or https URL: {base_url!r}",
            kind="bad_request",
            hint='write it like "http://127.0.0.1:8000/v1"',
        )
    return base_url.rstrip("/")


def shown_url(base_url: str) -> str:
    """The URL as messages may show it: without user name, password, query and fragment."""
    parts = urlsplit(base_url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
