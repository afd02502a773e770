"""Antiphon runs agent workflows written in YAML as AutoGen GroupChat sessions, and records every step.

```python
import antiphon

result = antiphon.run("brief", inputs={"audience": "children"})
print(result.status, result.output)
```

or, to watch it while it runs:

```python
async with await antiphon.start("brief") as run:
    async for event in run.events():
        print(event.kind)
    result = await run.result()
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from antiphon.errors import AntiphonError, BackendError, SpecError, UsageError, WorkflowFailed
    from antiphon.events import Delta, Event
    from antiphon.runner import Question, Run, RunResult, load, run, start
    from antiphon.tools.declare import tool

# Imported when first used, so that `import antiphon` costs next to nothing.
_HOMES = {
    "load": "antiphon.runner",
    "run": "antiphon.runner",
    "start": "antiphon.runner",
    "Run": "antiphon.runner",
    "RunResult": "antiphon.runner",
    "Question": "antiphon.runner",
    "Event": "antiphon.events",
    "Delta": "antiphon.events",
    "tool": "antiphon.tools.declare",
    "AntiphonError": "antiphon.errors",
    "SpecError": "antiphon.errors",
    "UsageError": "antiphon.errors",
    "BackendError": "antiphon.errors",
    "WorkflowFailed": "antiphon.errors",
}

__all__ = [
    "AntiphonError",
    "BackendError",
    "Delta",
    "Event",
    "Question",
    "Run",
    "RunResult",
    "SpecError",
    "UsageError",
    "WorkflowFailed",
    "load",
    "run",
    "start",
    "tool",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'antiphon' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
