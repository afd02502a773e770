"""A plan as a table of 80 columns, with what is to be said about it."""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.cli.figures import dollars
from antiphon.cli.wrapping import wrap
from antiphon.plain_text import plain_line
from antiphon.planning.bound import ZERO, Bound, Number
from antiphon.planning.plan import Check, Figures, Line, Plan

_CASES = ("least", "likely", "worst")
_COLUMNS = (("visits", 7), ("turns", 7), ("calls", 7), ("prompt", 11), ("reply", 10), ("cost", 10))
_CASE_WIDTH = 6
_LARGEST_IN_FULL = 10**7
_LEAST_SHOWN = 0.00005


def plan_text(plan: Plan, columns: int = 80) -> str:
    """The table, a sentence on what dominates, and what else matters: budgets, prices, and how it was counted."""
    workflow = plan.workflow
    heading = plain_line(f"{workflow.name}: {workflow.description}" if workflow.description else workflow.name)
    blocks = [_wrapped(heading, columns), _table(plan, columns)]
    blocks += [_wrapped(plain_line(note), columns) for note in notes(plan)]
    return "\n\n".join(blocks) + "\n"


def notes(plan: Plan) -> Iterator[str]:
    """The sentences behind the table."""
    yield _dominant(plan)
    if plan.reasons:
        yield f"The worst case has no bound: {'; '.join(plan.reasons)}. Figures with a + are what is known of it."
    if plan.checks:
        yield f"Budget: {'; '.join(map(_checked, plan.checks))}."
    unknown = [name for name, quote in plan.quotes.items() if quote.rates is None]
    if unknown:
        yield f"Cost is not known (?): {'; '.join(f'{name}: {plan.quotes[name].source}' for name in unknown)}."
    priced = [f"{name}: {quote.source}" for name, quote in plan.quotes.items() if quote.rates is not None]
    if priced:
        yield f"Prices from {'; '.join(priced)}."
    yield (
        "No text is tokenised: the worst case counts bytes and max_tokens, the likely one characters / 4, "
        "the least one words. `--json` says more."
    )


def _dominant(plan: Plan) -> str:
    dominant = plan.dominant
    if dominant is None:
        return "No model is asked."
    where = ""
    if dominant.loop:
        loop = " -> ".join(dominant.loop) if len(dominant.loop) <= 4 else f"{len(dominant.loop)} nodes"
        where = f" in the loop {loop}, bounded by {', '.join(dominant.bounds)}"
    share = f"{round(100 * dominant.share)} % of the tokens"
    if plan.reasons:
        return f"At worst {dominant.node} takes the most, {share} that are known{where and ','}{where}."
    return f"At worst {dominant.node} takes {share}{where and ','}{where}."


def _checked(check: Check) -> str:
    allowed = dollars(float(check.allowed)) if check.limit == "usd" else f"{check.allowed:,} {check.limit}"
    if check.verdict == "holds":
        return f"{allowed} hold"
    if check.verdict == "cannot hold":
        return f"{allowed} cannot hold, as the least is {_amount(check, check.least)}"
    if check.worst is None:
        return f"{allowed} may be reached"
    return f"{allowed} may be reached, as the worst is {_amount(check, check.worst)}"


def _amount(check: Check, number: Number) -> str:
    return dollars(float(number)) if check.limit == "usd" else _digits(number)


# -- the table ----------------------------------------------------------------------------------------------------


def _table(plan: Plan, columns: int) -> str:
    lines = [*plan.lines, *([plan.total] if len(plan.lines) > 1 else [])]
    width = columns - _CASE_WIDTH - sum(size for _, size in _COLUMNS) - 2
    width = max(12, min(width, max(len(line.path) for line in lines) + 1))
    head = "".join(name.rjust(size) for name, size in _COLUMNS)
    rows = [f"{'node'.ljust(width)} {'case'.ljust(_CASE_WIDTH)} {head}".rstrip()]
    for line in lines:
        if line is plan.total:
            rows.append("")
        rows += _rows(line, width)
    return "\n".join(rows)


def _rows(line: Line, width: int) -> Iterator[str]:
    name = line.path if len(line.path) <= width else f"{line.path[: width - 1]}…"
    shown = {case: _cells(line.cases[case]) for case in _CASES}
    if len(set(shown.values())) == 1:
        yield f"{name.ljust(width)} {'all'.ljust(_CASE_WIDTH)} {shown['least']}".rstrip()
        return
    for case in _CASES:
        yield f"{name.ljust(width)} {case.ljust(_CASE_WIDTH)} {shown[case]}".rstrip()
        name = ""


def _cells(figures: Figures) -> str:
    spending = figures.spending
    bounds = (figures.visits, spending.turns, spending.calls, spending.prompt_tokens, spending.completion_tokens)
    texts = [*map(_number, bounds), _cost(figures)]
    return "".join(text.rjust(size) for text, (_, size) in zip(texts, _COLUMNS, strict=True))


def _number(bound: Bound) -> str:
    return _digits(bound.known) + ("+" if bound.open else "")


def _digits(number: Number) -> str:
    if number >= _LARGEST_IN_FULL:
        return f"{float(number):.1e}".replace("e+0", "e").replace("e+", "e")
    if isinstance(number, float) and number < 10 and number != int(number):
        return f"{number:.1f}"
    return f"{round(number):,}"


def _cost(figures: Figures) -> str:
    spending = figures.spending
    known = _money(spending.cost_usd.known)
    if spending.unpriced:
        return f"{known}+?" if spending.cost_usd != ZERO else "?"
    if spending.calls == ZERO and spending.cost_usd == ZERO:
        return "-"
    return f"{known}+" if spending.cost_usd.open else known


def _money(usd: Number) -> str:
    """An amount that is not nothing is never shown as 0."""
    return "<$0.0001" if 0 < usd < _LEAST_SHOWN else dollars(float(usd))


def _wrapped(text: str, columns: int) -> str:
    return "\n".join(text[start:end] for start, end in wrap(text, min(columns, 100)))
