"""Bundles: a run survives the way into one file and back, and a file that is no sound bundle is refused in words."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import antiphon
from antiphon.errors import AntiphonError, UsageError
from antiphon.journal import Journal
from antiphon.journal.bundle import CALLS, EVENTS, HEAD, PARTS, SOURCES, Bundle, bundle_of
from antiphon.journal.portable import portable_paths
from fakes.projects import project

LIBRARY = Path("/nowhere/library")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, bytes]:
    """A project, the id of a run in it, and the run's bundle."""
    root = project(tmp_path_factory.mktemp("project"), replies={"a": "café \u2028 \x85", "b": "x" * 5000})

    async def play() -> str:
        async with await antiphon.start("play", root=root) as run:
            await run.result()
        return run.id

    run = asyncio.run(play())
    with Journal.open_for_reading(root / ".antiphon") as journal:
        return root, run, bundle_of(journal, run, root=root, library=LIBRARY)


def parts_of(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def zipped(path: Path, parts: dict[str, Any], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def test_a_run_survives_the_way_into_a_bundle_and_back(made: tuple[Path, str, bytes], tmp_path: Path) -> None:
    root, run, data = made
    (tmp_path / "b.antiphon").write_bytes(data)
    bundle = Bundle.open(tmp_path / "b.antiphon")
    with Journal.open_for_reading(root / ".antiphon") as journal:
        assert bundle.find_run("whatever") == run
        told = [{**body, "file": "workflows/play.yaml"} if "file" in body else body for body in journal.events(run)]
        assert list(bundle.events(run)) == told
        assert list(bundle.events(run, after=3)) == told[3:]
        assert list(bundle.calls(run)) == list(journal.calls(run))
        assert sorted(bundle.sources(run).values()) == sorted(journal.sources(run).values())
        assert bundle.summary(run).inputs == journal.summary(run).inputs
        assert bundle.tape(run).done.keys() == journal.tape(run).done.keys()
    assert bundle.lock["models"] == {"default": {"declared": "scripted:", "served": ["scripted"]}}
    assert str(root).encode() not in b"".join(text.encode() for text in parts_of(data).values())


Spoil = Callable[[dict[str, str]], Any]


def line(name: str, number: int, **fields: Any) -> Spoil:
    """Changes fields of one line of a part."""

    def spoil(parts: dict[str, str]) -> None:
        lines = parts[name].splitlines()
        lines[number] = json.dumps({**json.loads(lines[number]), **fields})
        parts[name] = "\n".join(lines)

    return spoil


def head(**fields: Any) -> Spoil:
    def spoil(parts: dict[str, str]) -> None:
        parts[HEAD] = json.dumps({**json.loads(parts[HEAD]), **fields})

    return spoil


def outcome(**fields: Any) -> Spoil:
    def spoil(parts: dict[str, str]) -> None:
        lines = parts[CALLS].splitlines()
        call = json.loads(lines[0])
        call["outcome"] |= fields
        parts[CALLS] = "\n".join([json.dumps(call), *lines[1:]])

    return spoil


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda parts: parts.pop(HEAD), "bundle.json"),
        (lambda parts: parts.pop(EVENTS), "events.jsonl"),
        (lambda parts: parts.update({HEAD: "[]"}), "does not say that it is one"),
        (lambda parts: parts.update({HEAD: "{"}), "Expecting"),
        (head(format="other"), "does not say that it is one"),
        (head(version=2), "version 2; this antiphon reads version 1"),
        (head(run={}), "the run has other fields"),
        (head(lock=[]), "its lock"),
        (lambda parts: parts.update({SOURCES: '{"a": 1}'}), "its sources"),
        (lambda parts: parts.update({SOURCES: "[" * 100_000}), ""),
        (line(EVENTS, 0, seq=2), "event 1 is not"),
        (line(EVENTS, 1, run="other"), "event 2 is not"),
        (line(EVENTS, 0, task=5), "`task` of event 1"),
        (line(EVENTS, 1, heard="x"), "`heard` of event 2"),
        (line(EVENTS, 1, visit=True), "`visit` of event 2"),
        (lambda parts: parts.update({EVENTS: "5\n"}), "event 1 is not an object"),
        (lambda parts: parts.update({EVENTS: parts[EVENTS].replace('"cost_usd": null', '"cost_usd": NaN')}), "NaN"),
        (lambda parts: parts.update({EVENTS: parts[EVENTS].replace('"cost_usd": null', '"cost_usd": 1e999')}), "cost"),
        (line(CALLS, 0, outcome=None), "has no outcome"),
        (line(CALLS, 0, outcome={"text": "x"}), "lacks"),
        (line(CALLS, 0, request={"messages": [99]}), "part 99"),
        (line(CALLS, 0, request={"messages": [-1]}), "part -1"),
        (line(CALLS, 0, request={"messages": "x"}), "no list of messages"),
        (line(CALLS, 0, run="other"), "another run"),
        (line(CALLS, 0, extra=1), "other fields"),
        (outcome(text=None), "`text`"),
        (outcome(usage={}), "other fields"),
        (outcome(tool_calls=[{"id": 1}]), "tool call"),
        (lambda parts: parts.update({PARTS: ""}), "names part 0"),
    ],
)
def test_a_bundle_without_the_shape_of_one_is_refused_in_words(
    made: tuple[Path, str, bytes], tmp_path: Path, spoil: Spoil, why: str
) -> None:
    parts = parts_of(made[2])
    spoil(parts)
    with pytest.raises(UsageError) as caught:
        Bundle.open(zipped(tmp_path / "b.antiphon", parts))
    assert "is not a sound bundle" in caught.value.message
    assert why in caught.value.message


def test_what_decompresses_without_end_is_refused(
    made: tuple[Path, str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.journal.bundle.LARGEST_PART", 10_000_000)
    parts = parts_of(made[2])
    parts[EVENTS] = " " * 10_000_001
    with pytest.raises(UsageError, match="larger than 10 MB"):
        Bundle.open(zipped(tmp_path / "b.antiphon", parts))


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(made: tuple[Path, str, bytes], tmp_path: Path, kind: int) -> None:
    with pytest.raises(UsageError, match="compressed in another way"):
        Bundle.open(zipped(tmp_path / "b.antiphon", parts_of(made[2]), kind))


def test_other_names_in_the_archive_are_never_looked_at(made: tuple[Path, str, bytes], tmp_path: Path) -> None:
    parts = {**parts_of(made[2]), "../../outside.txt": "x", "/etc/outside": "y"}
    bundle = Bundle.open(zipped(tmp_path / "deep.antiphon", parts))
    assert bundle.run == made[1]
    assert [path.name for path in tmp_path.iterdir()] == ["deep.antiphon"]


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_bundle_is_read_whole_or_refused_and_never_crashes(
    made: tuple[Path, str, bytes], tmp_path_factory: pytest.TempPathFactory, place: float, byte: int, cut: bool
) -> None:
    data = bytearray(made[2])
    at = min(int(place * len(data)), len(data) - 1)
    data[at] = byte
    path = tmp_path_factory.mktemp("damaged") / "b.antiphon"
    path.write_bytes(bytes(data[: at + 1] if cut else data))
    try:
        assert list(Bundle.open(path).events(made[1]))
    except AntiphonError as error:
        assert error.hint


@pytest.mark.parametrize(("name", "why"), [("nothing.antiphon", "there is no bundle"), ("", "is a folder")])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Bundle.open(tmp_path / name)


def test_paths_of_this_machine_become_paths_of_the_project(tmp_path: Path) -> None:
    root, library = tmp_path / "project", tmp_path / "site" / "library"
    paths = portable_paths(
        [
            str(root / "workflows" / "brief.yaml"),
            "agents/writer.yaml",
            str(library / "agents" / "critic.yaml"),
            "/etc/antiphon/config.yaml",
            "/srv/agents/writer.yaml",
            "/opt/agents/writer.yaml",
            "/tmp/replies.yaml",
        ],
        {"default": "scripted:/tmp/replies.yaml"},
        root=root,
        library=library,
    )
    assert list(paths.values()) == [
        "workflows/brief.yaml",
        "agents/writer.yaml",
        "library/agents/critic.yaml",
        "outside/antiphon/config.yaml",
        "outside/agents/writer.yaml",
        "outside/5/agents/writer.yaml",
        "/tmp/replies.yaml",
    ]
