"""Any CEL expression as parts: parsed with cel-python's grammar, its tree walked for names and positions.

Import this late: it loads the parser generator and builds the grammar's tables.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from antiphon.errors import MachineError
from antiphon.spec.expressions_syntax import (
    DEEPEST,
    Arithmetic,
    Call,
    Choice,
    Comparison,
    ExpressionError,
    Field,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    Macro,
    MapOf,
    Name,
    Negative,
    Not,
    Part,
)
from antiphon.spec.expressions_values import FUNCTIONS, INT_MAX, INT_MIN
from antiphon.spec.suggestions import did_you_mean

MACROS = ("all", "exists", "exists_one", "filter", "map")
_OPERATORS = {
    "relation_lt": "<",
    "relation_le": "<=",
    "relation_gt": ">",
    "relation_ge": ">=",
    "relation_eq": "==",
    "relation_ne": "!=",
    "relation_in": "in",
    "addition_add": "+",
    "addition_sub": "-",
    "multiplication_mul": "*",
    "multiplication_div": "/",
    "multiplication_mod": "%",
}
_ESCAPE = re.compile(
    r"""\\(?:(?P<plain>[abfnrtv\\?"'`])|(?P<octal>[0-3][0-7]{2})|[xX](?P<byte>[0-9a-fA-F]{2})"""
    r"""|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"""
    r"|\\"
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@functools.cache
def _parser() -> Lark:
    """The parser, built from the grammar alone: the rest of cel-python is not loaded."""
    found = find_spec("celpy")
    if found is None or not found.submodule_search_locations:
        raise MachineError("the package cel-python is missing", hint="install antiphon again")
    grammar = Path(found.submodule_search_locations[0], "cel.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        start="expr",
        g_regex_flags=re.MULTILINE,
        lexer_callbacks={"IDENT": _word},
        propagate_positions=True,
        maybe_placeholders=False,
        priority="invert",
    )


def _word(token: Token) -> Token:
    """`true` and `false` read as words are literals."""
    return Token.new_borrow_pos("BOOL_LIT", token.value, token) if token.value in ("true", "false") else token


def parse_cel(source: str) -> Part:
    """The parts of an expression. Raises `ExpressionError` when the text is not one, or uses what is not supported."""
    try:
        tree = _parser().parse(source)
    except UnexpectedInput as error:
        raise _syntax_error(source, error) from None
    return _Converter().part(tree, 0)


def _syntax_error(source: str, error: UnexpectedInput) -> ExpressionError:
    token = error.token if isinstance(error, UnexpectedToken) else None
    offset = error.pos_in_stream if token is None else token.start_pos
    if offset is None or (token is not None and token.type == "$END"):
        offset = len(source.rstrip())
        return ExpressionError("the expression ends too early", offset, "a value, an operand or a bracket is missing")
    rest = source[offset:]
    if isinstance(error, UnexpectedCharacters) and rest[:1] in "\"'":
        return ExpressionError("this text is never closed", offset, f"close it with {rest[0]}")
    found = re.match(r"\w+|\S{1,2}", rest)
    text = found[0] if found else rest[:1]
    return ExpressionError(f"`{text}` is not expected here", offset, _syntax_hint(source, offset, text))


def _syntax_hint(source: str, offset: int, text: str) -> str:
    before = source[:offset].rstrip()
    words = {"and": "write && for and", "or": "write || for or", "not": "write ! for not", "is": "write == for is"}
    if text in words:
        return words[text]
    if re.search(r"(^|\W)not$", before):
        return words["not"]
    if text.startswith("="):
        return "write == to compare"
    if text[0] in "&|":
        return f"write {text[0] * 2}"
    if text.startswith("${"):
        return "the whole text is an expression already: leave out ${{ }}"
    if text[0] in ")]}":
        return "a bracket is closed that was not opened, or something is missing before it"
    return "an operator such as &&, ||, == or + may be missing before it"


class _Converter:
    """Walks the tree of the grammar."""

    def part(self, tree: Tree[Token], depth: int) -> Part:
        while len(tree.children) == 1 and tree.data in _PASSED_ON:
            tree = _tree(tree.children[0])
        if depth > DEEPEST:
            raise ExpressionError(
                f"the expression is nested more than {DEEPEST} levels deep", tree.meta.start_pos, "split it up"
            )
        convert: Callable[[_Converter, Tree[Token], int, int, int], Part] = _CONVERSIONS[str(tree.data)]
        return convert(self, tree, depth + 1, tree.meta.start_pos, tree.meta.end_pos)

    def parts(self, tree: Tree[Token], depth: int) -> tuple[Part, ...]:
        """The parts of an `exprlist` or of `mapinits`."""
        return tuple(self.part(_tree(child), depth) for child in tree.children)

    def choice(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        branches = []
        while len(tree.children) == 3:
            condition, value, tree = (_tree(child) for child in tree.children)
            branches.append((self.part(condition, depth), self.part(value, depth)))
        return Choice(start, end, tuple(branches), self.part(tree, depth))

    def logic(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        rule, operands = tree.data, []
        while tree.data == rule and len(tree.children) == 2:
            tree, operand = (_tree(child) for child in tree.children)
            operands.append(self.part(operand, depth))
        operands.append(self.part(tree, depth))
        return Logic(start, end, "||" if rule == "conditionalor" else "&&", tuple(reversed(operands)))

    def comparison(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        operator, right = (_tree(child) for child in tree.children)
        left = self.part(_tree(operator.children[0]), depth)
        return Comparison(start, end, _OPERATORS[str(operator.data)], left, self.part(right, depth))

    def arithmetic(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        rule, steps = tree.data, []
        while tree.data == rule and len(tree.children) == 2:
            operator, operand = (_tree(child) for child in tree.children)
            steps.append((_OPERATORS[str(operator.data)], self.part(operand, depth)))
            tree = _tree(operator.children[0])
        return Arithmetic(start, end, self.part(tree, depth), tuple(reversed(steps)))

    def unary(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        operator, operand = (_tree(child) for child in tree.children)
        of = self.part(operand, depth)
        return Not(start, end, of) if operator.data == "unary_not" else Negative(start, end, of)

    def field(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        return Field(start, end, self.part(_tree(tree.children[0]), depth), str(tree.children[1]))

    def index(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        of, key = (_tree(child) for child in tree.children)
        return Index(start, end, self.part(of, depth), self.part(key, depth))

    def method(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        name = tree.children[1]
        arguments = [_tree(child) for child in _tree(tree.children[2]).children] if len(tree.children) == 3 else []
        of = self.part(_tree(tree.children[0]), depth)
        at = name.start_pos if isinstance(name, Token) and name.start_pos is not None else start
        if str(name) in MACROS:
            return self.macro(str(name), of, arguments, depth, start, end, at)
        return _call(str(name), (of, *(self.part(each, depth) for each in arguments)), start, end, at, method=True)

    def macro(
        self, name: str, of: Part, arguments: list[Tree[Token]], depth: int, start: int, end: int, at: int
    ) -> Part:
        allowed = (2, 3) if name == "map" else (2,)
        if len(arguments) not in allowed:
            raise ExpressionError(f"`{name}` takes a variable and an expression", at, f"such as list.{name}(item, ...)")
        variable = self.part(arguments[0], depth)
        if not isinstance(variable, Name):
            raise ExpressionError(
                f"the first argument of `{name}` is a name for the item", variable.start, f"such as {name}(item, ...)"
            )
        return Macro(start, end, name, of, variable.name, tuple(self.part(each, depth) for each in arguments[1:]))

    def call(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        name = str(tree.children[0])
        arguments = self.parts(_tree(tree.children[1]), depth) if len(tree.children) == 2 else ()
        if name == "dyn" and len(arguments) == 1:
            return arguments[0]
        if name == "has":
            if len(arguments) == 1 and isinstance(arguments[0], Field):
                return Has(start, end, arguments[0])
            raise ExpressionError("`has` takes one field", start, "such as has(critic.reply.reason)")
        return _call(name, arguments, start, end, start, method=False)

    def name(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        return Name(start, end, str(tree.children[0]))

    def inner(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        return self.part(_tree(tree.children[0]), depth)

    def list_of(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        return ListOf(start, end, self.parts(_tree(tree.children[0]), depth) if tree.children else ())

    def map_of(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        parts = self.parts(_tree(tree.children[0]), depth) if tree.children else ()
        return MapOf(start, end, tuple(zip(parts[::2], parts[1::2], strict=True)))

    def literal(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        token = tree.children[0]
        if not isinstance(token, Token):
            raise TypeError(f"a literal is a token, not {tree.data}")
        return Literal(start, end, _literal(token.type, token.value, start))

    def refused(self, tree: Tree[Token], depth: int, start: int, end: int) -> Part:
        if tree.data == "member_object":
            raise ExpressionError("messages cannot be built here", start, "a map is {'name': value}")
        raise ExpressionError("a name does not start with a dot", start, "leave the dot out")


def _tree(child: Tree[Token] | Token) -> Tree[Token]:
    if isinstance(child, Token):
        raise TypeError(f"expected a rule of the grammar, not the token {child}")
    return child


def _call(name: str, arguments: tuple[Part, ...], start: int, end: int, at: int, *, method: bool) -> Part:
    function = FUNCTIONS.get(name)
    if function is None and (name == "has" or name in MACROS):
        form = "has(critic.reply.reason)" if name == "has" else f"list.{name}(item, ...)"
        raise ExpressionError(f"`{name}` is called in another way", at, f"write {form}")
    if function is None:
        known = [*FUNCTIONS, "has", *MACROS]
        hint = did_you_mean(name, known, f"there are {', '.join(known)}")
        raise ExpressionError(f"there is no function `{name}`", at, hint)
    if not function.takes(len(arguments), method=method):
        form = f"{name}(value)"
        if function.is_method:
            form = f"text.{name}({'...' if function.arity > 1 else ''})"
        raise ExpressionError(f"`{name}` is called in another way", at, f"write {form}")
    return Call(start, end, name, arguments)


def _literal(kind: str, text: str, start: int) -> Any:
    if kind == "INT_LIT":
        value = int(text, 16 if "x" in text else 10)
        if INT_MIN <= value <= INT_MAX:
            return value
        raise ExpressionError(f"{text} does not fit into 64 bits", start, "write it with a point, such as 1e20")
    if kind == "FLOAT_LIT":
        return float(text)
    if kind == "BOOL_LIT":
        return text == "true"
    if kind == "NULL_LIT":
        return None
    if kind == "UINT_LIT":
        raise ExpressionError("there are no unsigned numbers in JSON", start, f"write {text[:-1]}")
    if kind == "BYTES_LIT":
        raise ExpressionError("there are no bytes in JSON", start, f"write {text[1:]}")
    return _text_literal(text, start)


def _text_literal(text: str, start: int) -> str:
    raw = text[0] in "rR"
    opening = 1 if raw else 0
    width = 3 if text[opening : opening + 3] in ('"""', "'''") and len(text) >= opening + 6 else 1
    body = text[opening + width : -width]
    if raw:
        return body

    def expand(found: re.Match[str]) -> str:
        if found["plain"]:
            return _PLAIN.get(found["plain"], found["plain"])
        digits = found["octal"] or found["byte"] or found["short"] or found["long"]
        code = int(digits, 8 if found["octal"] else 16) if digits else -1
        if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            at = start + opening + width + found.start()
            shown = body[found.start() : found.start() + 2]
            raise ExpressionError(f"`{shown}` is no escape in a text", at, "double the backslash, or write r'...'")
        return chr(code)

    return _ESCAPE.sub(expand, body)


_PASSED_ON = frozenset(
    {
        "expr",
        "conditionalor",
        "conditionaland",
        "relation",
        "addition",
        "multiplication",
        "unary",
        "member",
        "primary",
    }
)
_CONVERSIONS: dict[str, Any] = {
    "expr": _Converter.choice,
    "conditionalor": _Converter.logic,
    "conditionaland": _Converter.logic,
    "relation": _Converter.comparison,
    "addition": _Converter.arithmetic,
    "multiplication": _Converter.arithmetic,
    "unary": _Converter.unary,
    "member_dot": _Converter.field,
    "member_index": _Converter.index,
    "member_dot_arg": _Converter.method,
    "member_object": _Converter.refused,
    "dot_ident": _Converter.refused,
    "dot_ident_arg": _Converter.refused,
    "ident_arg": _Converter.call,
    "ident": _Converter.name,
    "paren_expr": _Converter.inner,
    "list_lit": _Converter.list_of,
    "map_lit": _Converter.map_of,
    "literal": _Converter.literal,
}
