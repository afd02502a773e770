"""Side effects that may have happened: the run stopped after their intent and before their outcome."""

from __future__ import annotations

from antiphon.engine.calls import Spot
from antiphon.engine.people import Answer, Question
from antiphon.engine.record import Recorder
from antiphon.errors import PersonNeeded, WorkflowFailed

REPEAT, SKIP, FAIL = "repeat it", "skip it", "fail the run"
SKIPPED = "This call may have been made before an interruption. It was not repeated; its result is not known."


class Doubt:
    """Settles such a call: never silently."""

    def __init__(self, policy: str, recorder: Recorder, answer: Answer | None) -> None:
        """`policy` is `ask`, `repeat`, `skip` or `fail`."""
        self._policy = policy
        self._recorder = recorder
        self._answer = answer

    async def settle(self, spot: Spot, place: str, tool: str, arguments: str) -> str | None:
        """What the model is told instead of a result; null when the call is to be made again."""
        choice = {"repeat": REPEAT, "skip": SKIP, "fail": FAIL}.get(self._policy)
        if choice is None:
            choice = await self._ask(spot, place, tool, arguments)
        if choice == REPEAT:
            return None
        if choice == SKIP:
            return SKIPPED
        raise WorkflowFailed(
            f"{tool} at {place} was begun before the run stopped, and nobody knows how it ended",
            hint="resume with --on-doubt repeat or --on-doubt skip once you know",
            place=spot.yaml,
        )

    async def _ask(self, spot: Spot, place: str, tool: str, arguments: str) -> str:
        text = f"{tool}({arguments}) at {place} was begun before the run stopped. It may have had its effect."
        if self._answer is None:
            raise PersonNeeded(text, hint="say --on-doubt repeat, skip or fail", place=spot.yaml)
        question = Question(self._recorder.run, spot.node, spot.visit, text, (REPEAT, SKIP, FAIL), is_event=False)
        await self._recorder.committed()
        return await self._answer(question)
