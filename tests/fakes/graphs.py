"""Random workflows that the checker accepts: joins, conditions on what was said, `else`, loops with bounds."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from antiphon.backends.model import ModelRequest

_TALKERS = ("ann", "bob", "cid")
"""The agents of random chats."""


@dataclass(frozen=True)
class Shape:
    """What a random graph may contain."""

    nodes: int
    any_joins: bool
    loops: int
    seed: int
    any_in_loops: bool = False
    """With `any_joins`: also at the ends of loops, whose bounds then count along each path."""
    chats: bool = False
    maps: bool = False
    max_tokens: int | None = None
    """Of every agent."""
    told: bool = False
    """Every condition is that the node says `to_` and the target's name, so that a script can take any way."""


def workflow_text(shape: Shape) -> str:
    """The YAML of a random workflow: the same for the same shape."""
    rng = random.Random(shape.seed)
    names = [f"n{i}" for i in range(shape.nodes)]
    targets: dict[str, list[str]] = {name: [] for name in names}
    for i, name in enumerate(names[:-1]):
        later = names[i + 1 :]
        targets[name] = sorted(rng.sample(later, min(len(later), rng.choice((1, 1, 2, 3)))))
    reached = {target for out in targets.values() for target in out}
    for i, name in enumerate(names[1:], 1):
        if name not in reached:
            source = names[rng.randrange(i)]
            targets[source] = sorted({*targets[source], name})
    back: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    for _ in range(shape.loops):
        i = rng.randrange(1, shape.nodes)
        target = names[rng.randrange(i + 1)]
        if all(target != there for there, _ in back[names[i]]) and target not in targets[names[i]]:
            back[names[i]].append((target, rng.randint(1, 3)))
    lines = []
    for name in names:
        lines += _edges(name, targets[name], back[name], rng, told=shape.told)
    joins = []
    if shape.any_joins:
        looping = {name for name in names if back[name]} | {target for out in back.values() for target, _ in out}
        allowed = names if shape.any_in_loops else [name for name in names if name not in looping]
        joins = [name for name in allowed if rng.random() < 0.4]
    settings = f", settings: {{max_tokens: {shape.max_tokens}}}" if shape.max_tokens else ""
    nodes = {name: _node(name, name in joins, shape, rng) for name in names}
    speakers = [name for name in names if nodes[name] is None or f"agent: {name}" in str(nodes[name])]
    if len(speakers) < len(names):
        speakers += _TALKERS
    agents = ", ".join(f"{name}: {{prompt: I am {name}.{settings}}}" for name in speakers)
    listed = "".join(f"  {name}: {{{text}}}\n" for name, text in nodes.items() if text is not None)
    head = f"agents: {{{agents}}}\ntask: Go.\n" + (f"nodes:\n{listed}" if listed else "")
    return head + "flow:\n" + "\n".join(lines) + "\n"


def _node(name: str, is_any: bool, shape: Shape, rng: random.Random) -> str | None:
    """What `nodes:` says of a node; null for a plain agent."""
    join = ", join: any" if is_any else ""
    if shape.chats and rng.random() < 0.3:
        policy, turns = rng.choice(("round_robin", "selector")), rng.randint(1, 4)
        says = rng.choice(("", ", says: 'f'"))
        agents = ", ".join(_TALKERS[: rng.randint(1, 3)])
        return f"chat: {policy}, agents: [{agents}], until: {{turns: {turns}{says}}}{join}"
    if shape.maps and rng.random() < 0.3:
        # Nobody speaks for an empty list, so a script could not choose the way.
        items = rng.choice(("[1, 2, 3]", "[0]" if shape.told else "[]", "['one', 'two words']"))
        return f'map: "${{{{ {items} }}}}", as: item, agent: {_TALKERS[0]}{join}'
    return f"agent: {name}{join}" if is_any else None


def _edges(
    name: str, targets: list[str], back: list[tuple[str, int]], rng: random.Random, *, told: bool = False
) -> list[str]:
    """The edges out of a node: all plain, or all conditional with an `else` at the end."""
    if not targets and not back:
        return [f"  - {name} -> end"]
    if not back and rng.random() < 0.6:
        return [f"  - {name} -> {', '.join(targets)}"]

    def when(target: str) -> str:
        return f"\"{name}.text.contains('to_{target}')\"" if told else _condition(name, rng)

    lines = [f"  - {name} -> {target}: {{when: {when(target)}, at_most: {bound}}}" for target, bound in back]
    *conditional, last = targets or ["end"]
    lines += [f"  - {name} -> {target}: {{when: {when(target)}}}" for target in conditional]
    if not lines:
        return [f"  - {name} -> {last}"]
    return [*lines, f"  - {name} -> {last}: else"]


def _condition(name: str, rng: random.Random) -> str:
    letter = rng.choice("0123456789abcdef")
    return rng.choice(
        (
            f"\"{name}.text.contains('{letter}')\"",
            f'"{name}.visits < {rng.randint(1, 3)}"',
            f"\"!{name}.text.endsWith('{letter}')\"",
            '"true"',
        )
    )


def echo(request: ModelRequest) -> str:
    """A reply that depends on every word of the prompt and on nothing else."""
    spelled = "\n".join(f"{m.wire['role']}: {m.wire['content']}" for m in request.messages)
    return f"{request.agent} {hashlib.sha256(spelled.encode()).hexdigest()[:6]}"
