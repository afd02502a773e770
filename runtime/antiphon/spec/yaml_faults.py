"""What a YAML syntax error means for whoever wrote the file: one place, one sentence, one hint."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import yaml

from antiphon.errors import Problem
from antiphon.spec.yaml_tree import Document

_LONGEST_LINE = 2_000

_BRACKET_JOIN = re.compile(r"\s*-?\s*(?P<join>\[(?P<names>[^\]]*)\]\s*->\s*(?P<rest>[^:#]*))")
_TAG_START = re.compile(r"(?:^\s*|[:,\[{-]\s+)(!)")
_FIRST_KEY = re.compile(r"\s*(?:-\s+)*[^\s:'\"#]+\s*$")


@dataclass(frozen=True, slots=True)
class _Fault:
    """A syntax error as the parser saw it."""

    document: Document
    offset: int
    context_offset: int | None
    message: str
    context: str
    open_flow: int | None

    @property
    def line(self) -> str:
        """The text of the line where the parser stopped; empty when no person wrote a line that long."""
        line = self.document.source_line(self.document.place(self.offset).line)
        return line if len(line) <= _LONGEST_LINE else ""

    @property
    def line_start(self) -> int:
        return self.offset - self.document.place(self.offset).column + 1

    @property
    def before(self) -> str:
        """The line up to where the parser stopped, under the same condition."""
        return self.line[: self.offset - self.line_start]

    @property
    def char(self) -> str:
        return self.document.text[self.offset : self.offset + 1]

    def problem(self, offset: int, code: str, message: str, hint: str) -> Problem:
        return self.document.problem(offset, code, message, hint)


def explain(document: Document, error: yaml.MarkedYAMLError, open_flow: int | None) -> Problem:
    """The problem behind a parser's error. `open_flow` is where the outermost open bracket stands."""
    mark = error.problem_mark or error.context_mark
    offset = min(mark.index, len(document.text)) if mark else 0
    context = error.context_mark.index if error.context_mark else None
    fault = _Fault(document, offset, context, error.problem or "not YAML", error.context or "", open_flow)
    for rule in _RULES:
        problem = rule(fault)
        if problem is not None:
            return problem
    return fault.problem(
        offset,
        "yaml-syntax",
        f"this is not YAML: {fault.message}",
        "look at the indentation and the quotes of this line and the one above",
    )


def _tab(fault: _Fault) -> Problem | None:
    indent = fault.line[: len(fault.line) - len(fault.line.lstrip())]
    if fault.char != "\t" and "\t" not in indent:
        return None
    offset = fault.offset if fault.char == "\t" else fault.line_start + indent.index("\t")
    return fault.problem(offset, "yaml-tab", "a tab cannot indent YAML", "indent with spaces")


def _expression(fault: _Fault) -> Problem | None:
    line_at = fault.line.find("${{")
    in_flow = fault.open_flow is not None or "flow" in fault.context
    if in_flow:
        opened = fault.open_flow if fault.open_flow is not None else fault.context_offset
        at = fault.document.text.find("${{", opened or 0, fault.offset + 2)
        if at >= 0:
            return fault.problem(
                at,
                "yaml-expression",
                "`${{ }}` inside [...] or {...} has to be quoted",
                'write "${{ ... }}" with the quotes',
            )
    if line_at >= 0 and fault.char == ":" and fault.line_start + line_at < fault.offset:
        return fault.problem(
            fault.line_start + line_at,
            "yaml-expression",
            "a `: ` inside `${{ }}` ends the text for YAML",
            "put the whole value in quotes",
        )
    return None


def _bracket_join(fault: _Fault) -> Problem | None:
    found = _BRACKET_JOIN.match(fault.line)
    if not found or fault.line_start + found.start("join") > fault.offset:
        return None
    names = " ".join(found["names"].split())
    return fault.problem(
        fault.line_start + found.start("join"),
        "yaml-bracket-join",
        "an edge cannot start with `[`: YAML takes it for a list",
        f"write `- {names} -> {found['rest'].strip()}`",
    )


def _first_character(fault: _Fault) -> Problem | None:
    if fault.char in ("@", "`", "%") and "start any token" in fault.message:
        name = "a backquote" if fault.char == "`" else f"`{fault.char}`"
        return fault.problem(fault.offset, "yaml-quote", f"a value cannot start with {name}", "put it in quotes")
    return None


def _alias(fault: _Fault) -> Problem | None:
    if "alias" not in fault.context and "anchor" not in fault.context:
        return None
    offset = fault.context_offset if fault.context_offset is not None else fault.offset
    char = fault.document.text[offset : offset + 1]
    return fault.problem(
        offset, "yaml-quote", f"a value that starts with `{char}` is a YAML alias or anchor", "put it in quotes"
    )


def _tag(fault: _Fault) -> Problem | None:
    found = _TAG_START.search(fault.before)
    if found is None and "tag" not in fault.context:
        return None
    offset = fault.line_start + found.start(1) if found else fault.context_offset or fault.offset
    return fault.problem(
        offset, "yaml-tag", "a value that starts with `!` is a YAML tag, and tags are not allowed", "put it in quotes"
    )


def _block_header(fault: _Fault) -> Problem | None:
    if "block scalar" not in fault.context:
        return None
    return fault.problem(
        fault.offset,
        "yaml-block",
        "text cannot follow `|` or `>` on its line",
        "start the text on the next line, indented",
    )


def _unclosed(fault: _Fault) -> Problem | None:
    if "quoted scalar" in fault.context and fault.context_offset is not None:
        quote = fault.document.text[fault.context_offset]
        return fault.problem(
            fault.context_offset, "yaml-unclosed", f"this {quote} is never closed", f"close it with {quote}"
        )
    if fault.open_flow is not None and fault.message.startswith(("did not find expected", "expected")):
        opening = fault.document.text[fault.open_flow]
        closing = {"[": "]", "{": "}"}.get(opening, "]")
        if (
            not fault.document.text[fault.offset :].strip()
            or fault.document.place(fault.open_flow).line < fault.document.place(fault.offset).line
        ):
            return fault.problem(
                fault.open_flow, "yaml-unclosed", f"this {opening} is never closed", f"close it with {closing}"
            )
    return None


def _after_quote(fault: _Fault) -> Problem | None:
    before = fault.before.rstrip()
    if not before or before[-1] not in "'\"" or fault.char in (":", ""):
        return None
    quote = before[-1]
    if quote == "'":
        hint = "write a quote inside single quotes twice: 'it''s'"
    else:
        hint = "put the whole value in single quotes: 'ask.text == \"yes\"'"
    return fault.problem(fault.offset, "yaml-quote", f"text cannot follow the closing {quote}", hint)


def _colon(fault: _Fault) -> Problem | None:
    if "mapping values" not in fault.message:
        return None
    if _FIRST_KEY.fullmatch(fault.before):
        above = fault.document.text[: fault.line_start].rstrip()
        line = above[above.rfind("\n") + 1 :]
        indent = len(line) - len(line.lstrip())
        if above and indent == len(fault.before) - len(fault.before.lstrip()):
            return _neither(fault, len(above) - len(line) + indent)
        return fault.problem(
            fault.line_start + len(fault.before) - len(fault.before.lstrip()),
            "yaml-indent",
            "this key is indented further than the one above, which already has a value",
            "give keys of one mapping the same indentation",
        )
    return fault.problem(
        fault.offset,
        "yaml-colon",
        "a `: ` inside plain text ends it for YAML",
        "put the text in quotes, or start it on the next line after `|`",
    )


def _no_colon(fault: _Fault) -> Problem | None:
    if "simple key" not in fault.context:
        return None
    offset = fault.context_offset if fault.context_offset is not None else fault.offset
    return _neither(fault, offset)


def _neither(fault: _Fault, offset: int) -> Problem:
    return fault.problem(
        offset,
        "yaml-syntax",
        "this line is neither `key: value` nor a list item",
        "add the colon, or indent it as part of the text above",
    )


def _odd_indent(fault: _Fault) -> Problem | None:
    if "block" not in fault.context:
        return None
    thing = "`- item`" if "collection" in fault.context or "sequence" in fault.context else "`key: value`"
    return fault.problem(
        fault.offset, "yaml-indent", f"{thing} was expected here", "give what belongs together the same indentation"
    )


_RULES: tuple[Callable[[_Fault], Problem | None], ...] = (
    _expression,
    _bracket_join,
    _tab,
    _first_character,
    _tag,
    _alias,
    _block_header,
    _unclosed,
    _after_quote,
    _colon,
    _no_colon,
    _odd_indent,
)
