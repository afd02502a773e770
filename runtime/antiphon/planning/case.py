"""The three cases of a plan: how texts, replies and choices count in the least, the likely and the worst of them.

Nothing is tokenised. In the worst case a text counts its bytes in UTF-8, as no byte-level tokeniser makes more tokens
than that; in the likely case a quarter of its characters; in the least case its words.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from antiphon.planning.bound import ZERO, Bound, Number, greatest, total, unbounded
from antiphon.spec.program import Agent

BYTES_OF_A_TOKEN = 8
"""What a token of a reply may become in the prompts of those who hear it; English has 4 to 5 bytes a token."""
MESSAGE_TOKENS = 16
"""What a chat template may put around a message, in the worst case."""
REQUEST_TOKENS = 128
"""What it may put around a whole prompt, in the worst case."""
TOOLS_TOKENS = 1_000
"""What it may say about the use of tools, in the worst case."""
LIKELY_REPLY = 300
"""The likely reply of an agent without `max_tokens`, in tokens."""

LIKELY_ITEMS = 5
"""The likely items of a list of which nobody says how many there are."""


class Case(ABC):
    """How one case counts. Sizes are in tokens."""

    name: str
    message = 0
    request = 0
    tools = 0
    counts_unknown = True
    """Whether what an expression makes of unknown values counts at all."""

    @abstractmethod
    def text(self, text: str) -> Bound:
        """A text that is known."""

    @abstractmethod
    def characters(self, count: int) -> Bound:
        """A text of at most this many characters, of which nothing else is known."""

    @abstractmethod
    def reply(self, agent: Agent, longest: int | None) -> Bound:
        """The completion tokens of one reply; `longest` is its `max_tokens`."""

    @abstractmethod
    def heard(self, reply: Bound) -> Bound:
        """What a reply of so many tokens counts in a prompt."""

    @abstractmethod
    def one_of(self, choices: Sequence[Bound]) -> Bound:
        """What counts when any of these may be."""

    @abstractmethod
    def between(self, least: Number, most: Bound) -> Bound:
        """A count that lies somewhere between two."""

    def uncounted(self, least: Number, most: Bound) -> Bound:
        """The items of a list of which nobody says how many there are; `most` is what its size allows."""
        return self.between(least, most)

    def data(self, value: Any) -> Bound:
        """JSON that a server puts into the prompt, such as the definition of a tool."""
        return self.text(json.dumps(value, ensure_ascii=False))


class Worst(Case):
    """As much as can be."""

    name = "worst"
    message = MESSAGE_TOKENS
    request = REQUEST_TOKENS
    tools = TOOLS_TOKENS

    def text(self, text: str) -> Bound:
        return Bound(len(text.encode("utf-8", "replace")))

    def characters(self, count: int) -> Bound:
        return Bound(4 * count)

    def reply(self, agent: Agent, longest: int | None) -> Bound:
        if longest is not None:
            return Bound(longest)
        return unbounded(f"the agent `{agent.name}` has no settings.max_tokens")

    def heard(self, reply: Bound) -> Bound:
        return reply.times(BYTES_OF_A_TOKEN)

    def one_of(self, choices: Sequence[Bound]) -> Bound:
        return greatest(choices)

    def between(self, least: Number, most: Bound) -> Bound:
        return most

    def data(self, value: Any) -> Bound:
        # Templates indent it as they like.
        return self.text(json.dumps(value, ensure_ascii=False, indent=4))


class Likely(Case):
    """About what to expect: replies and loops half as long as they may be, nothing corrected."""

    name = "likely"
    message = 4
    request = 8
    tools = 100

    def text(self, text: str) -> Bound:
        return Bound(math.ceil(len(text) / 4))

    def characters(self, count: int) -> Bound:
        return Bound(math.ceil(min(count / 2, 400) / 4))

    def reply(self, agent: Agent, longest: int | None) -> Bound:
        return Bound(LIKELY_REPLY if longest is None else math.ceil(longest / 2))

    def heard(self, reply: Bound) -> Bound:
        return reply

    def one_of(self, choices: Sequence[Bound]) -> Bound:
        return total(choices).times(1 / len(choices)) if choices else ZERO

    def between(self, least: Number, most: Bound) -> Bound:
        return Bound(math.ceil((least + most.known) / 2), most.open)

    def uncounted(self, least: Number, most: Bound) -> Bound:
        return Bound(max(least, min(most.known, LIKELY_ITEMS)))


class Least(Case):
    """What a run that completes cannot do without: texts as words, replies empty."""

    name = "least"
    counts_unknown = False

    def text(self, text: str) -> Bound:
        return Bound(len(text.split()))

    def characters(self, count: int) -> Bound:
        return ZERO

    def reply(self, agent: Agent, longest: int | None) -> Bound:
        # A structured reply is no valid one without a token.
        return Bound(1 if agent.reply is not None else 0)

    def heard(self, reply: Bound) -> Bound:
        return ZERO

    def one_of(self, choices: Sequence[Bound]) -> Bound:
        return min(choices, key=lambda each: each.known, default=ZERO)

    def between(self, least: Number, most: Bound) -> Bound:
        return Bound(least)
