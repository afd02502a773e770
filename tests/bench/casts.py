"""The workflows and texts that every contestant is given."""

from __future__ import annotations

TASK = "Discuss how cities should store their rain water, and what it costs."
SENTENCE = "Rain that falls on roofs can be kept in cisterns, and that is cheaper than larger drains. "
REPLY = (SENTENCE * 3)[:200]
"""What an instant model says: 200 characters."""


def names(agents: int) -> list[str]:
    return [f"speaker{number}" for number in range(1, agents + 1)]


def persona(name: str) -> str:
    return f"You are {name}, an engineer. Say one thing that nobody has said yet."


def _cast(agents: int) -> str:
    return "agents:\n" + "".join(
        f'  {name}: {{description: Engineer., prompt: "{persona(name)}"}}\n' for name in names(agents)
    )


def chat_yaml(agents: int, turns: int) -> str:
    """A round robin chat."""
    return f"{_cast(agents)}task: {TASK}\nchat: round_robin\nuntil: {{turns: {turns}}}\n"


def loop_yaml(agents: int, turns: int) -> str:
    """The same turns as a flow: a chain of all agents that goes round until the turns are used."""
    chain = names(agents)
    rounds, rest = divmod(turns, agents)
    if rest or rounds < 2:
        raise ValueError(f"{turns} turns are not two or more whole rounds of {agents} agents")
    return (
        f"{_cast(agents)}task: {TASK}\nflow:\n  - {' -> '.join(chain)}\n"
        f"  - {chain[-1]} -> {chain[0]}: {{at_most: {rounds - 1}}}\n  - {chain[-1]} -> end: else\n"
    )
