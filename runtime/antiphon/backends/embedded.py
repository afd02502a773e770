"""The embedded model: llama.cpp's server in a child process, spoken to like any other server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from antiphon.backends.model import ModelReply, ModelRequest, Watch
from antiphon.backends.model_file import DEFAULT_MODEL, Progress, model_file
from antiphon.backends.openai_protocol import OpenAIModel
from antiphon.errors import BackendError, MachineError
from antiphon.spec.home import home_folder
from antiphon.spec.program import ModelSpec

SLOTS = 4
"""How many requests it works on at once; others wait their turn."""
SLOT_TOKENS = 4096
"""The context of each slot: prompt and reply together."""
START_LIMIT_S = 120.0
MOST_STARTS = 4
"""How often the child is started within ten minutes before it is given up."""
_STARTS_COUNT_S = 600.0
_STOP_LIMIT_S = 2.0

_servers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Path, EmbeddedServer]] = weakref.WeakKeyDictionary()


class EmbeddedServer:
    """The child process for one model file. Started when first needed, and again after a crash."""

    def __init__(self, file: Path, name: str) -> None:
        self.name = name
        self._file = file
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._address = ""
        self._starts: list[float] = []
        self._shares = 0

    @classmethod
    def of(cls, file: Path, name: str) -> EmbeddedServer:
        """The server of this file on the running loop. `close` gives the share back; the last one ends the child."""
        servers = _servers.setdefault(asyncio.get_running_loop(), {})
        server = servers.get(file)
        if server is None:
            server = servers[file] = cls(file, name)
        server._shares += 1
        return server

    @property
    def process_id(self) -> int | None:
        """The child's, while one runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def log_file(self) -> Path:
        """Where the child's own messages go: those of its latest start. It stays after a crash."""
        return home_folder() / "logs" / f"embedded-{os.getpid()}-{self._file.stem}.log"

    async def ended(self) -> None:
        """Waits until the child that runs now is gone; returns at once when none runs."""
        if self._process is not None:
            await self._process.wait()

    async def base_url(self, progress: Callable[[Progress], None] | None = None) -> str:
        """Where the child listens; starts it when it is not running.

        Raises `BackendError` when it does not start, or has crashed too often.
        """
        async with self._lock:
            if self.process_id is None:
                await self._end()
                if progress is not None:
                    progress(Progress("starting", self._file.name))
                await self._start()
            return f"{self._address}/v1"

    async def _start(self) -> None:
        now_s = time.monotonic()
        self._starts = [start_s for start_s in self._starts if now_s - start_s < _STARTS_COUNT_S]
        if len(self._starts) >= MOST_STARTS:
            raise BackendError(
                f"the embedded model's server has crashed {MOST_STARTS} times within ten minutes",
                kind="unreachable",
                hint=f"see {self.log_file}; less memory is needed with fewer requests at once",
            )
        self._starts.append(now_s)
        with self._open_log() as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "antiphon.backends.embedded_server",
                str(self._file),
                self.name,
                str(SLOTS),
                str(SLOT_TOKENS),
                str(_threads()),
                str(os.getpid()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(START_LIMIT_S):
                self._address = await self._announced(self._process)
        except TimeoutError as error:
            await self._end()
            raise self._not_started(f"it was not ready within {START_LIMIT_S:g} s") from error
        except BaseException:
            await self._end()
            raise

    async def _announced(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        async for line in process.stdout:
            with suppress(ValueError, TypeError, KeyError):
                return str(json.loads(line)["address"])
        status = await process.wait()
        raise self._not_started(f"it ended with status {status}")

    def _open_log(self) -> IO[bytes]:
        try:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            return self.log_file.open("wb")
        except OSError as error:
            raise MachineError(
                f"{self.log_file} cannot be written ({error.strerror})",
                hint="mend its permissions, or move it with ANTIPHON_HOME",
            ) from error

    def _not_started(self, reason: str) -> BackendError:
        with suppress(OSError):
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            reason += f": {lines[-1][-300:]}" if lines else ""
        hint = f"see {self.log_file}; is {self._file} a .gguf file that llama.cpp knows, and is there memory for it?"
        return BackendError(f"the embedded model's server did not start; {reason}", kind="unreachable", hint=hint)

    async def close(self) -> None:
        self._shares -= 1
        if self._shares > 0:
            return
        servers = _servers.get(asyncio.get_running_loop(), {})
        if servers.get(self._file) is self:
            del servers[self._file]
        async with self._lock:
            worth_reading = self.process_id is None or len(self._starts) > 1
            await self._end()
            if not worth_reading:
                with suppress(OSError):
                    self.log_file.unlink()

    async def _end(self) -> None:
        """Ends the child, gently for a moment, and waits until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_LIMIT_S):
                await process.wait()
        except TimeoutError:
            pass
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


def _threads() -> int:
    """How many threads compute: one processor is left to everybody else.

    The threads wait for each other at every layer, so that with as many as there are processors any other work on the
    machine slows the model down twentyfold. More than four do not make a model of this size faster.
    """
    usable = getattr(os, "sched_getaffinity", None)
    processors = len(usable(0)) if usable is not None else os.cpu_count() or 1
    return max(1, min(4, processors - 1))


class EmbeddedModel:
    """A model in a child process of this one. Implements `Model`."""

    def __init__(self, server: EmbeddedServer, client: OpenAIModel) -> None:
        self._server = server
        self._client = client
        self._open = True

    @classmethod
    async def open(
        cls,
        spec: ModelSpec,
        progress: Callable[[Progress], None] | None = None,
        *,
        folder: Path | None = None,
        retry_base_s: float = 0.5,
    ) -> EmbeddedModel:
        """Finds or fetches the file and starts the child; `progress` hears of both.

        A relative path of a file starts at `folder`, or else at the current one.
        """
        file = await model_file(spec.model, progress, folder)
        named_by_path = spec.model.endswith(".gguf") or "/" in spec.model
        server = EmbeddedServer.of(file, file.stem if named_by_path else spec.model or DEFAULT_MODEL)
        try:
            base_url = await server.base_url(progress)
        except BaseException:
            await server.close()
            raise
        client = OpenAIModel(
            server.name,
            base_url,
            backend="embedded",
            settings=spec.settings,
            timeouts=spec.timeouts,
            retry_base_s=retry_base_s,
            locate=server.base_url,
        )
        return cls(server, client)

    @property
    def backend(self) -> str:
        return "embedded"

    @property
    def served_model(self) -> str:
        return self._server.name

    @property
    def settings(self) -> Mapping[str, Any]:
        return {}

    @property
    def server(self) -> EmbeddedServer:
        return self._server

    async def ask(self, request: ModelRequest, watch: Watch) -> ModelReply:
        return await self._client.ask(request, watch)

    async def close(self) -> None:
        if self._open:
            self._open = False
            await self._client.close()
            await self._server.close()
