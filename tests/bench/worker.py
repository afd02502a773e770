"""A process that plays one contestant on request: a JSON object of options per line in, one of figures per line out."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import logging
import sys
from typing import Any


def main() -> None:
    """`python -m tests.bench.worker MODULE:FUNCTION`. Ends with its standard input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case", help="MODULE:FUNCTION in tests.bench")
    module, _, function = parser.parse_args().case.partition(":")
    logging.disable(logging.CRITICAL)
    try:
        case = getattr(importlib.import_module(f"tests.bench.{module}"), function)
    except ImportError as error:
        _say({"missing": str(error)})
        return
    for line in sys.stdin:
        try:
            _say(asyncio.run(case(**json.loads(line))))
        except ImportError as error:
            _say({"missing": str(error)})


def _say(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
