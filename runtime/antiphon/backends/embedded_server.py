"""The child process that serves an embedded model: `python -m antiphon.backends.embedded_server MODEL.gguf ...`.

It listens on a free port of 127.0.0.1, prints one line of JSON with its address, and lives as long as its standard
input stays open, which is as long as its parent lives.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence

_DIE_WITH_PARENT = 1
"""`PR_SET_PDEATHSIG` of Linux's prctl."""


def main(arguments: Sequence[str]) -> None:
    """`arguments`: the file, the model's name, slots, tokens per slot, threads, the parent's process id."""
    file, name, slots, slot_tokens, threads, parent = arguments
    _tie_to_parent(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = int(slots)
    params.n_ctx = int(slots) * int(slot_tokens)
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = int(threads)
    params.cpuparams_batch.n_threads = int(threads)
    params.cache_ram_mib = 0
    params.warmup = False
    params.ui = False
    server = xllamacpp.Server(params)
    os.write(1, json.dumps({"address": server.listening_address}).encode() + b"\n")
    threading.Event().wait()


def _tie_to_parent(parent: int) -> None:
    """Ends this process when the parent does: at once where the kernel offers it, else when standard input closes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    threading.Thread(target=_leave_with_input, name="parent", daemon=True).start()


def _leave_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
