"""`python -m tests.bench`: measures, side by side, and writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from tests.bench.report import page
from tests.bench.rounds import ROOT, measure
from tests.bench.starts import measure_starts
from tests.bench.trials import SMALL, Sizes, trials


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--small", action="store_true", help="tiny sizes, to see that it works; the figures mean nothing"
    )
    parser.add_argument("--rounds", type=int, help="how often each figure is measured")
    parser.add_argument("--only", default="", help="engine, crowd, http or starts")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "benchmarks.md")
    options = parser.parse_args()
    sizes = SMALL if options.small else Sizes()
    rounds = options.rounds or sizes.rounds
    wanted = [trial for trial in trials(sizes) if options.only in ("", trial.table)]
    found, yardsticks = asyncio.run(measure(wanted, rounds, _say))
    starts = measure_starts(options.rounds or sizes.starts, _say) if options.only in ("", "starts") else []
    if options.only:
        for measured in found:
            if measured.figures:
                _say(
                    f"{measured.trial.contestant}, {measured.trial.column}: {measured.median:.3f} ({measured.best:.3f})"
                )
        return
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(page(found, starts, yardsticks, sizes), encoding="utf-8")
    _say(f"wrote {options.output}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
