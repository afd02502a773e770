"""A run in one file, to be kept, sent and tested: its YAML, its record, and what it was made with.

A bundle is a zip archive of JSON. It is read from strangers: nothing in it is unpacked to disk, run or evaluated, every
part has a limit, and what does not have the shape of a record is refused.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Self

from antiphon.errors import MachineError, UsageError
from antiphon.journal.lookup import CallRecord, RunSummary
from antiphon.journal.portable import portable_paths, relocated
from antiphon.journal.records import Records
from antiphon.journal.soundness import check_call, check_event, check_fields
from antiphon.journal.tape import Tape, read_tape

JsonObject = dict[str, Any]

SUFFIX = ".antiphon"
FORMAT = "antiphon-bundle"
VERSION = 1

HEAD, SOURCES, EVENTS, CALLS, PARTS = "bundle.json", "sources.json", "events.jsonl", "calls.jsonl", "parts.jsonl"
LARGEST_FILE = 256_000_000
"""Bytes that a bundle may have."""
LARGEST_PART = 512_000_000
"""Bytes that a part of it may have once it is decompressed."""

_SHARED = ("messages", "header")
"""What requests have in common, kept once among the parts."""

_NONSENSE = (
    *(ValueError, LookupError, TypeError, RecursionError, RuntimeError, EOFError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What archives and JSON raise that are no bundles."""


def is_bundle(text: str) -> bool:
    """Whether what was given as a run is the path of a bundle."""
    return text.endswith(SUFFIX)


class Bundle:
    """The one run of a bundle, read whole."""

    def __init__(self, path: Path, head: JsonObject, sources: dict[str, str]) -> None:
        self.path = path
        self.lock: JsonObject = head["lock"]
        """What the run was made with: served models by name, and the version of antiphon."""
        self._summary = RunSummary(**head["run"])
        self._sources = sources
        self._events: list[JsonObject] = []
        self._calls: list[CallRecord] = []

    @property
    def run(self) -> str:
        """The id of its run."""
        return self._summary.run

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """A bundle from its file.

        Raises:
            UsageError: There is no such file, or it is no bundle.
            MachineError: It cannot be read.
        """
        path = Path(path).expanduser()
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise _unsound(path, f"it is larger than {LARGEST_FILE // 1_000_000} MB")
            with zipfile.ZipFile(path) as archive:
                return _read(path, archive)
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"there is no bundle {str(path)!r}", hint="`antiphon export RUN` writes one") from None
        except IsADirectoryError:
            raise UsageError(f"{str(path)!r} is a folder, not a bundle", hint="name a file") from None
        except OSError as error:
            raise MachineError(f"cannot read {str(path)!r}: {error.strerror}", hint="check its permissions") from error
        except _NONSENSE as error:
            raise _unsound(path, str(error) or type(error).__name__) from error

    def find_run(self, text: str) -> str:
        return self.run

    def summary(self, run: str) -> RunSummary:
        return self._summary

    def events(self, run: str, after: int = 0) -> Iterator[JsonObject]:
        return iter(self._events[after:])

    def calls(self, run: str) -> Iterator[CallRecord]:
        return iter(self._calls)

    def sources(self, run: str) -> dict[str, str]:
        return dict(self._sources)

    def tape(self, run: str, until: int | None = None) -> Tape:
        try:
            return read_tape(self.events(run), self.calls(run), until)
        except ValueError as error:
            raise _unsound(self.path, str(error)) from error

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        return None


def bundle_of(records: Records, run: str, *, root: Path, library: Path) -> bytes:
    """The bundle of a run, the same bytes each time. Paths of this machine become paths below the project's `root`.

    `library` is the folder with the agents and workflows that ship.
    """
    summary = records.summary(run)
    sources = records.sources(run)
    paths = portable_paths(sources, summary.models, root=root, library=library)
    move = partial(relocated, paths=paths)
    calls = [move(_fields_of(call)) for call in records.calls(run)]
    head = {
        "format": FORMAT,
        "version": VERSION,
        "run": {**_fields_of(summary), "file": paths.get(summary.file, summary.file)},
        "lock": {"antiphon": summary.version, "models": _served(calls, summary.models)},
    }
    parts: dict[str, int] = {}
    light = [_lightened(call, parts) for call in calls]
    whole = {
        HEAD: json.dumps(head, indent=2),
        SOURCES: json.dumps({paths.get(path, path): text for path, text in sources.items()}, indent=2),
        EVENTS: _lines(move(body) for body in records.events(run)),
        CALLS: _lines(light),
        PARTS: "".join(f"{part}\n" for part in parts),
    }
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, text in whole.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text)
    return memory.getvalue()


def _read(path: Path, archive: zipfile.ZipFile) -> Bundle:
    head = _loads(_part(archive, HEAD))
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ValueError("it does not say that it is one")
    if head.get("version") != VERSION:
        raise ValueError(f"it has version {head.get('version')!r}; this antiphon reads version {VERSION}")
    check_fields(RunSummary, head["run"], "the run")
    if not isinstance(head["lock"], dict):
        raise ValueError("its lock is not an object")
    sources = _loads(_part(archive, SOURCES))
    if not isinstance(sources, dict) or not all(isinstance(text, str) for text in sources.values()):
        raise ValueError("its sources are not texts")
    bundle = Bundle(path, head, sources)
    for number, line in enumerate(_part(archive, EVENTS).splitlines(), 1):
        body = _loads(line)
        check_event(body, number, bundle.run)
        bundle._events.append(body)
    parts = [_loads(line) for line in _part(archive, PARTS).splitlines()]
    for line in _part(archive, CALLS).splitlines():
        call = _loads(line)
        check_fields(CallRecord, call, "a call")
        _fill(call["request"], parts)
        check_call(call, bundle.run)
        bundle._calls.append(CallRecord(**call))
    return bundle


def _part(archive: zipfile.ZipFile, name: str) -> str:
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in another way than bundles are")
    with archive.open(name) as file:
        data = file.read(LARGEST_PART + 1)
    if len(data) > LARGEST_PART:
        raise ValueError(f"{name} is larger than {LARGEST_PART // 1_000_000} MB")
    return data.decode()


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON value")


def _lightened(call: JsonObject, parts: dict[str, int]) -> JsonObject:
    """The call with the numbers of parts in place of what its request shares with others."""
    request = dict(call["request"])
    messages, header = request.get("messages"), request.get("header")
    if isinstance(messages, list):
        request["messages"] = [parts.setdefault(json.dumps(message), len(parts)) for message in messages]
    if isinstance(header, dict):
        request["header"] = parts.setdefault(json.dumps(header), len(parts))
    return {**call, "request": request}


def _fill(request: JsonObject, parts: list[Any]) -> None:
    def part(number: Any) -> Any:
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(parts):
            raise ValueError(f"a request names part {number!r}, and there are {len(parts)}")
        return parts[number]

    if isinstance(request.get("messages"), list):
        request["messages"] = [part(number) for number in request["messages"]]
    if request.get("header") is not None:
        request["header"] = part(request["header"])


def _served(calls: list[JsonObject], declared: Mapping[str, Any]) -> JsonObject:
    """For each model name what it stood for, and what the servers said they served."""
    served: dict[str, list[str]] = {name: [] for name in declared}
    for call in calls:
        name, outcome = call["request"].get("model"), call["outcome"] or {}
        model = outcome.get("served_model")
        if isinstance(name, str) and model and model not in served.setdefault(name, []):
            served[name].append(model)
    return {name: {"declared": declared.get(name), "served": models} for name, models in served.items()}


def _fields_of(value: RunSummary | CallRecord) -> JsonObject:
    return {each.name: getattr(value, each.name) for each in fields(value)}


def _lines(values: Any) -> str:
    return "".join(f"{json.dumps(value)}\n" for value in values)


def _unsound(path: Path, why: str) -> UsageError:
    return UsageError(f"{str(path)!r} is not a sound bundle: {why}", hint="`antiphon export RUN` writes one")
