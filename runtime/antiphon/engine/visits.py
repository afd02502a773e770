"""What was said, and which visit of which node said it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from antiphon.backends.model import Message
from antiphon.spec.program import Edge, Node


class Utterance:
    """Something that was said, with its two forms in a prompt made once however many prompts it enters."""

    __slots__ = ("_heard", "_said", "reply", "speaker", "spoken", "text")

    def __init__(self, speaker: str, text: str, reply: Any = None, *, spoken: str | None = None) -> None:
        """`spoken` is what prompts say instead of `text`, such as a person's answer together with the question."""
        self.speaker = speaker
        self.text = text
        self.reply = reply
        self.spoken = text if spoken is None else spoken
        self._said: Message | None = None
        self._heard: Message | None = None

    @property
    def said(self) -> Message:
        """How the speaker itself finds it in its prompt."""
        if self._said is None:
            self._said = Message.assistant(self.spoken)
        return self._said

    @property
    def heard(self) -> Message:
        """How everyone else finds it."""
        if self._heard is None:
            self._heard = Message.user(f"{self.speaker}: {self.spoken}")
        return self._heard


@dataclass(slots=True, eq=False)
class Visit:
    """The n-th time a node runs. `past` holds the visits before it along the edges, in canonical order."""

    node: Node
    number: int
    place: str
    """`writer#2`, with the path of the workflow in front: `deep#1/writer#2`."""
    deliveries: tuple[Delivery, ...]
    past: tuple[Visit, ...]
    counts: dict[int, int]
    """How often each edge that leaves a `join: any` node was taken on the way here."""
    ordinal: int = 1
    """1 + the visits of the same node in the past."""

    utterances: tuple[Utterance, ...] = ()
    text: str = ""
    reply: Any = None
    void: bool = False
    """True once a `join: first` behind it took another delivery."""

    @property
    def view(self) -> dict[str, Any]:
        """What expressions see of it, but for the count."""
        return {"text": self.text, "reply": self.reply}


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A message on its way: `source` finished and took `edge`. A start has neither."""

    edge: Edge | None
    source: Visit | None
    past: tuple[Visit, ...] = field(default=())
    """The source's past and the source itself."""
    counts: dict[int, int] = field(default_factory=dict)
