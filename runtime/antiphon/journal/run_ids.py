"""Ids of runs: short, sortable by start, unique over processes."""

from __future__ import annotations

import secrets
import threading
import time

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_LETTERS = 4

_lock = threading.Lock()
_last_ms = 0


def new_run_id() -> str:
    """An id such as `20261124-081530-k3f9w2`: UTC to the second, two letters of milliseconds, four of chance.

    Two ids of one process never share a millisecond, so they sort in the order in which they were made.
    """
    global _last_ms
    with _lock:
        _last_ms = max(time.time_ns() // 1_000_000, _last_ms + 1)
        whole, thousandths = divmod(_last_ms, 1000)
    day = time.strftime("%Y%m%d-%H%M%S", time.gmtime(whole))
    chance = "".join(secrets.choice(_LETTERS) for _ in range(_RANDOM_LETTERS))
    return f"{day}-{_LETTERS[thousandths // 32]}{_LETTERS[thousandths % 32]}{chance}"
