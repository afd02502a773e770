"""What the command line says about inputs and models, as the runner takes it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from antiphon.errors import MachineError, UsageError


def input_values(pairs: Iterable[str]) -> dict[str, str]:
    """`key=value` pairs as a mapping. `@file` is the text of a file, `@-` that of stdin, `@@x` a literal `@x`."""
    values: dict[str, str] = {}
    read_stdin = False
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(f"input {pair!r} is not of the form key=value", hint="write for instance -i topic=whales")
        if key in values:
            raise UsageError(f"input {key!r} was given twice", hint="keep one of them")
        if value == "@-":
            if read_stdin:
                raise UsageError(f"input {key!r}: stdin can be read only once", hint="keep one @-")
            read_stdin = True
        values[key] = text_value(f"input {key!r}", value)
    return values


def model_overrides(pairs: Iterable[str]) -> dict[str, str]:
    """`NAME=provider:model` pairs as a mapping."""
    models: dict[str, str] = {}
    for pair in pairs:
        name, equals, target = pair.partition("=")
        name, target = name.strip(), target.strip()
        if not equals or not name or not target:
            raise UsageError(
                f"model {pair!r} is not of the form NAME=provider:model",
                hint="write for instance --model default=embedded:smollm2-135m",
            )
        if name in models:
            raise UsageError(f"model {name!r} was given twice", hint="keep one of them")
        models[name] = target
    return models


def text_value(what: str, value: str) -> str:
    """A text as it stands, `@file`, `@-` or `@@x`. `what` names it in errors."""
    if not value.startswith("@"):
        return value
    if value.startswith("@@"):
        return value[1:]
    if value == "@-":
        return _decoded(what, "stdin", sys.stdin.buffer.read() if sys.stdin is not None else b"")
    path = Path(value[1:]).expanduser()
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{what}: there is no file {str(path)!r}", hint="a value that begins with @ is written @@"
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{what}: {str(path)!r} is a folder", hint="name a file") from None
    except ValueError:
        raise UsageError(f"{what}: {str(path)!r} is not a file name", hint="name a file") from None
    except OSError as error:
        raise MachineError(
            f"{what}: cannot read {str(path)!r}: {error.strerror}", hint="check the file's permissions"
        ) from error
    return _decoded(what, repr(str(path)), data)


def _decoded(what: str, source: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{what}: {source} is not UTF-8 text (byte {error.start} is {data[error.start]:#04x})",
            hint="convert it to UTF-8 first",
        ) from None
