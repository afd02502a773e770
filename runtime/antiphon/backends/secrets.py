"""Keys, fetched at the last moment from where a reference says they are."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path

from antiphon.errors import BackendError
from antiphon.spec.program import Secret

_COMMAND_LIMIT_S = 30.0


async def resolve(secret: Secret, folder: Path) -> str:
    """The key itself, without white space around it. Relative paths start at `folder`.

    Raises `BackendError` of the kind `auth`, which names the reference and never a value.
    """
    if secret.kind == "env":
        value = os.environ.get(secret.value, "")
        problem, hint = "the environment variable is not set", f"export {secret.value}=... before the run"
    elif secret.kind == "file":
        value, problem = await asyncio.to_thread(_content_of, folder, secret.value)
        hint = "the file holds the key and nothing else"
    elif secret.kind == "cmd":
        value, problem = await _output_of(secret.value, folder)
        hint = 'the command prints the key; it is run without a shell (for pipes: sh -c "...")'
    else:
        value, problem, hint = "", "this kind of reference does not exist", "use env, file or cmd"
    value = value.strip()
    if not value:
        raise BackendError(f"no key in {secret}: {problem or 'it is empty'}", kind="auth", hint=hint)
    if not value.isascii() or not value.isprintable():
        problem = "it has line breaks or characters in it that no key has"
        raise BackendError(f"no valid key in {secret}: {problem}", kind="auth", hint=hint)
    return value


def _content_of(folder: Path, name: str) -> tuple[str, str]:
    path = folder / Path(name).expanduser()
    try:
        return path.read_text(encoding="utf-8"), ""
    except OSError as error:
        return "", f"{path} cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        return "", f"{path} is not text"


async def _output_of(command: str, folder: Path) -> tuple[str, str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        return "", str(error)
    if not words:
        return "", "the command is empty"
    try:
        process = await asyncio.create_subprocess_exec(
            *words, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
    except OSError as error:
        return "", f"{words[0]} cannot be started ({error.strerror})"
    try:
        async with asyncio.timeout(_COMMAND_LIMIT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return "", f"{words[0]} did not end within {_COMMAND_LIMIT_S:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        return "", f"{words[0]} ended with status {process.returncode}"
    return output.decode("utf-8", "replace"), ""
