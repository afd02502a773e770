"""The model of the play as a server in a process of its own: prints its address, ends with its standard input."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from durability.play import Model
from fakes.openai_server import FakeOpenAI


async def serve(ledgers: Path) -> None:
    async with FakeOpenAI(Model(ledgers)) as server:
        sys.stdout.write(json.dumps({"base_url": server.base_url}) + "\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
