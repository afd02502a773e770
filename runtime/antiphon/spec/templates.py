"""Text with `${{ }}` in it: compiled once, rendered with a scope.

Values are inserted and never read again: `${{` in a value stays as it is. `$${{` stands for a literal `${{`.
A text that is one `${{ }}` and nothing else but white space around it keeps the type of the value; so does the only
line of a `|` block. Everywhere else a text is inserted as it is, null as nothing, and other values as compact JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from antiphon.errors import Place, WorkflowFailed
from antiphon.spec.expressions import Expression, ExpressionError, NameUse
from antiphon.spec.expressions_syntax import LONGEST
from antiphon.spec.program import Scope

__all__ = ["ParsedTemplate", "compile_template", "text_of"]

LONGEST_TEXT = 64_000_000
"""Characters in a rendered text."""

_OPEN = "${{"
_WINDOW = LONGEST + 100
_STOP = re.compile(r"[rR]?(?P<quote>\"\"\"|'''|\"|')|\$\{\{|[{}]")

Locate = Callable[[int], Place]
_Piece = str | Expression


def text_of(value: Any) -> str:
    """A value as text: a text as it is, null as nothing, everything else as compact JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


class ParsedTemplate:
    """Compiled text. `names` are those of all its expressions, with offsets into `source`."""

    __slots__ = ("_pieces", "_whole", "names", "place", "source")

    def __init__(self, source: str, place: Place, pieces: list[_Piece]) -> None:
        self.source = source
        self.place = place
        self._pieces = pieces
        expressions = [piece for piece in pieces if isinstance(piece, Expression)]
        self.names: tuple[NameUse, ...] = tuple(name for each in expressions for name in each.names)
        texts = (piece for piece in pieces if isinstance(piece, str))
        self._whole = expressions[0] if len(expressions) == 1 and not any(text.strip() for text in texts) else None

    @property
    def pieces(self) -> tuple[str | Expression, ...]:
        """Its texts and expressions in order; the expression alone when the template keeps the type of its value."""
        return (self._whole,) if self._whole is not None else tuple(self._pieces)

    @property
    def is_constant(self) -> bool:
        """True when it has no `${{ }}`."""
        return all(isinstance(piece, str) for piece in self._pieces)

    def render(self, scope: Scope) -> Any:
        """The value, of its own type when the whole text is one `${{ }}`, else a string. Raises `WorkflowFailed`."""
        if self._whole is not None:
            return self._whole.value(scope)
        return self._joined(scope)

    def text(self, scope: Scope) -> str:
        """Like `render`, always a string."""
        if self._whole is not None:
            return self._text_of(self._whole, scope)
        return self._joined(scope)

    def _joined(self, scope: Scope) -> str:
        texts = []
        length = 0
        for piece in self._pieces:
            text = piece if isinstance(piece, str) else self._text_of(piece, scope)
            length += len(text)
            if length > LONGEST_TEXT:
                raise WorkflowFailed(
                    f"the text grows beyond {LONGEST_TEXT:,} characters", hint="insert less", place=self.place
                )
            texts.append(text)
        return "".join(texts)

    def _text_of(self, expression: Expression, scope: Scope) -> str:
        value = expression.value(scope)
        if type(value) is str:
            return value
        try:
            return text_of(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise WorkflowFailed(
                f"the value of `{expression.source.strip()[:60]}` cannot be written as JSON: {error}",
                hint="insert a part of it",
                place=expression.place,
            ) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParsedTemplate) and (self.source, self.place) == (other.source, other.place)

    def __hash__(self) -> int:
        return hash((self.source, self.place))

    def __repr__(self) -> str:
        return f"ParsedTemplate({self.source[:60]!r})"


def compile_template(source: str, locate: Locate) -> ParsedTemplate:
    """A text with `${{ }}` in it. Raises `ExpressionError` with an offset into `source`."""
    pieces: list[_Piece] = []
    literal: list[str] = []
    position = 0
    while (start := source.find(_OPEN, position)) >= 0:
        if start > position and source[start - 1] == "$":
            literal += (source[position : start - 1], _OPEN)
            position = start + len(_OPEN)
            continue
        literal.append(source[position:start])
        if text := "".join(literal):
            pieces.append(text)
        literal.clear()
        inside = start + len(_OPEN)
        end = _end_of(source, start)
        try:
            pieces.append(Expression(source[inside:end], locate, inside))
        except ExpressionError as error:
            raise ExpressionError(error.message, error.offset + inside, error.hint) from None
        position = end + 2
    literal.append(source[position:])
    if text := "".join(literal):
        pieces.append(text)
    return ParsedTemplate(source, locate(0), pieces)


def _end_of(source: str, start: int) -> int:
    """Where the `}}` stands that closes the `${{` at `start`: outside texts and maps of the expression."""
    position = start + len(_OPEN)
    limit = position + _WINDOW
    depth = 0
    while found := _STOP.search(source, position, limit):
        position = found.end()
        stop = found[0]
        if stop == "{":
            depth += 1
        elif stop == "}" and depth:
            depth -= 1
        elif stop == "}" and source.startswith("}", position):
            return found.start()
        elif stop == _OPEN:
            break
        elif found["quote"]:
            position = _after_text(source, position, limit, found["quote"], raw=stop[0] in "rR")
    if source.find("}}", start, limit) < 0 and len(source) > limit and source.find("}}", limit) >= 0:
        raise ExpressionError(f"the expression has more than {LONGEST:,} characters", start, "let a tool decide")
    hint = "close it with }}, or write $${{ for the characters themselves"
    raise ExpressionError("this ${{ is never closed", start, hint)


def _after_text(source: str, position: int, limit: int, quote: str, *, raw: bool) -> int:
    """The position behind a text literal; where it began when it has no end, so that the parser says so."""
    ending = re.compile(_ENDINGS[len(quote) == 3, raw].format(quote=quote))
    found = ending.match(source, position, limit)
    return found.end() if found else position


_ENDINGS = {
    (False, False): r"(?:[^\\\n{quote}]|\\.)*{quote}",
    (False, True): r"[^\n{quote}]*{quote}",
    (True, False): r"(?s:(?:[^\\]|\\.)*?{quote})",
    (True, True): r"(?s:.*?{quote})",
}
