"""Random workflows that the checker accepts: joins, conditions on what was said, `else`, loops with bounds."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from antiphon.backends.model import ModelRequest


@dataclass(frozen=True)
class Shape:
    """What a random graph may contain."""

    nodes: int
    any_joins: bool
    loops: int
    seed: int


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
        lines += _edges(name, targets[name], back[name], rng)
    joins = []
    if shape.any_joins:
        looping = {name for name in names if back[name]} | {target for out in back.values() for target, _ in out}
        joins = [name for name in names if name not in looping and rng.random() < 0.4]
    agents = ", ".join(f"{name}: {{prompt: I am {name}.}}" for name in names)
    nodes = "".join(f"  {name}: {{agent: {name}, join: any}}\n" for name in joins)
    head = f"agents: {{{agents}}}\ntask: Go.\n" + (f"nodes:\n{nodes}" if nodes else "")
    return head + "flow:\n" + "\n".join(lines) + "\n"


def _edges(name: str, targets: list[str], back: list[tuple[str, int]], rng: random.Random) -> list[str]:
    """The edges out of a node: all plain, or all conditional with an `else` at the end."""
    if not targets and not back:
        return [f"  - {name} -> end"]
    if not back and rng.random() < 0.6:
        return [f"  - {name} -> {', '.join(targets)}"]
    lines = [f"  - {name} -> {target}: {{when: {_condition(name, rng)}, at_most: {bound}}}" for target, bound in back]
    *conditional, last = targets or ["end"]
    lines += [f"  - {name} -> {target}: {{when: {_condition(name, rng)}}}" for target in conditional]
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
