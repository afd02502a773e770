"""The file of `-o`: tried before anything is spent, written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from antiphon.errors import MachineError, UsageError


class Destination:
    """A context manager. On leaving it a file that was not written is as it was."""

    def __init__(self, path: str) -> None:
        """Raises when the file cannot be written: `UsageError` for a wrong path, `MachineError` for this machine."""
        self.path = Path(path).expanduser()
        self._draft: Path | None = None
        try:
            self._target = self.path.resolve()
            if self._target.is_dir():
                raise UsageError(f"-o {str(self.path)!r} is a folder", hint="name a file")
            if not self._target.parent.is_dir():
                raise UsageError(
                    f"-o {str(self.path)!r}: there is no folder {str(self._target.parent)!r}", hint="make it first"
                )
            self._is_plain = not self._target.exists() or stat.S_ISREG(self._target.stat().st_mode)
            if self._is_plain:
                self._open_draft()
            elif not os.access(self._target, os.W_OK):
                raise MachineError(f"cannot write {str(self.path)!r}", hint="check its permissions")
        except OSError as error:
            raise self._trouble(error) from error
        except ValueError as error:
            raise UsageError(f"-o {str(self.path)!r} is not a file name", hint="name a file") from error

    def write(self, text: str) -> None:
        """Puts the text in the file's place. Raises `MachineError` when the disk does not take it."""
        self.write_bytes(text.encode("utf-8", "replace"))

    def write_bytes(self, data: bytes) -> None:
        """Like `write`, for what is no text."""
        try:
            if self._draft is None:
                self._target.write_bytes(data)
                return
            with self._draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._draft.replace(self._target)
            self._draft = None
        except OSError as error:
            raise self._trouble(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def discard(self) -> None:
        """Leaves the file as it is. Does nothing once it was written."""
        if self._draft is not None:
            self._draft.unlink(missing_ok=True)
            self._draft = None

    def _open_draft(self) -> None:
        if self._target.exists():
            if not os.access(self._target, os.W_OK):
                raise MachineError(f"cannot write {str(self.path)!r}", hint="check its permissions")
            mode = stat.S_IMODE(self._target.stat().st_mode)
        else:
            mask = os.umask(0)
            os.umask(mask)
            mode = 0o666 & ~mask
        fd, name = tempfile.mkstemp(prefix=f".{self._target.name[:100]}.", dir=self._target.parent)
        os.fchmod(fd, mode)
        os.close(fd)
        self._draft = Path(name)

    def _trouble(self, error: OSError) -> MachineError:
        return MachineError(
            f"cannot write {str(self.path)!r}: {error.strerror}", hint="check the folder's permissions and free space"
        )
