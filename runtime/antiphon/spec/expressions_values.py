"""What the operators and functions of expressions mean on plain JSON values.

As CEL has it, with one change that JSON asks for: a number is a number, so that 3 equals 3.0 and adds to 0.5.
Integers stay within 64 bits. Nothing here trusts the size of a value: whatever grows with it is paid from a `Meter`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
LONGEST_PATTERN = 2_000
_CHARACTERS_PER_STEP = 1_000


class Fault(Exception):
    """An operation has no value. `offset` is the place in the expression, -1 until somebody knows it."""

    def __init__(self, message: str, hint: str = "", offset: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.offset = offset

    def within(self, offset: int) -> Fault:
        """This fault, placed here unless an inner part placed it already."""
        if self.offset < 0:
            self.offset = offset
        return self


class WorkSpent(Exception):
    """An expression took more steps than it may. Nothing absorbs it."""


class Meter:
    """The work that one evaluation may still do, in steps of roughly a tenth of a microsecond to a microsecond."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise WorkSpent


def kind_of(value: Any) -> str:
    """What a person calls a value of this kind."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, Mapping):
        return "a map"
    return f"a {type(value).__name__}"


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(left: Any, right: Any, meter: Meter) -> bool:
    """Deep equality. Values of different kinds are different, and no error."""
    if isinstance(left, str):
        if isinstance(right, str) and len(left) == len(right):
            meter.spend(len(left) // _CHARACTERS_PER_STEP)
            return left == right
        return False
    if left is None or right is None:
        return left is right
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool) and left == right
    if isinstance(left, int | float):
        return isinstance(right, int | float) and left == right
    if isinstance(left, list | tuple):
        return (
            isinstance(right, list | tuple)
            and len(left) == len(right)
            and paid(len(left), meter)
            and all(equal(one, other, meter) for one, other in zip(left, right, strict=True))
        )
    if isinstance(left, Mapping):
        return (
            isinstance(right, Mapping)
            and len(left) == len(right)
            and paid(2 * len(left), meter)
            and all(holds_key(right, key) and equal(value, right[key], meter) for key, value in left.items())
        )
    return bool(left == right)


def paid(steps: int, meter: Meter) -> bool:
    """True, once the meter has been charged for one step more than these."""
    meter.spend(1 + steps)
    return True


def holds_key(of: Mapping[Any, Any], key: Any) -> bool:
    """Whether a map has the key; `true` and 1 are different keys."""
    if isinstance(key, str):
        return key in of
    if key is None or isinstance(key, list | tuple | Mapping) or key not in of:
        return False
    return any(isinstance(each, bool) == isinstance(key, bool) for each in of if each == key)


def contained(item: Any, container: Any, meter: Meter) -> bool:
    if isinstance(container, Mapping):
        return holds_key(container, item)
    if isinstance(container, list | tuple):
        meter.spend(len(container))
        return any(equal(item, each, meter) for each in container)
    hint = "write text.contains('part')" if isinstance(container, str) else ""
    raise Fault(f"`in` looks into a list or a map, not into {kind_of(container)}", hint)


def _comparable(left: Any, right: Any, meter: Meter) -> None:
    if is_number(left) and is_number(right):
        return
    if isinstance(left, str) and isinstance(right, str):
        meter.spend(min(len(left), len(right)) // _CHARACTERS_PER_STEP)
        return
    if isinstance(left, bool) and isinstance(right, bool):
        return
    hint = ""
    if left is None or right is None:
        hint = "a reply is null before the first visit of its node: ask for visits > 0 first"
    elif isinstance(left, str) or isinstance(right, str):
        hint = "turn the text into a number with double(...)"
    raise Fault(f"{kind_of(left)} and {kind_of(right)} cannot be ordered", hint)


def less(left: Any, right: Any, meter: Meter) -> bool:
    _comparable(left, right, meter)
    return bool(left < right)


def at_most(left: Any, right: Any, meter: Meter) -> bool:
    _comparable(left, right, meter)
    return bool(left <= right)


def greater(left: Any, right: Any, meter: Meter) -> bool:
    _comparable(left, right, meter)
    return bool(left > right)


def at_least(left: Any, right: Any, meter: Meter) -> bool:
    _comparable(left, right, meter)
    return bool(left >= right)


def _within_64_bits(value: Any) -> Any:
    if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
        raise Fault("the result does not fit into 64 bits", "calculate with double(...)")
    return value


def add(left: Any, right: Any, meter: Meter) -> Any:
    if is_number(left) and is_number(right):
        return _number(lambda: left + right)
    if isinstance(left, str) and isinstance(right, str):
        meter.spend((len(left) + len(right)) // 128)
        return left + right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        meter.spend((len(left) + len(right)) // 8)
        return [*left, *right]
    hint = "turn the other into a text with string(...)" if isinstance(left, str) or isinstance(right, str) else ""
    raise Fault(f"{kind_of(left)} and {kind_of(right)} cannot be added", hint)


def subtract(left: Any, right: Any, meter: Meter) -> Any:
    _both_numbers(left, right, "subtracted")
    return _number(lambda: left - right)


def multiply(left: Any, right: Any, meter: Meter) -> Any:
    _both_numbers(left, right, "multiplied")
    return _number(lambda: left * right)


def divide(left: Any, right: Any, meter: Meter) -> Any:
    """Between whole numbers the whole part of the quotient, towards zero; else the quotient."""
    _both_numbers(left, right, "divided")
    if right == 0:
        raise Fault("division by zero")
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return _within_64_bits(quotient if (left < 0) == (right < 0) else -quotient)
    return _number(lambda: left / right)


def remainder(left: Any, right: Any, meter: Meter) -> Any:
    """What whole numbers leave over, with the sign of the first."""
    _both_numbers(left, right, "divided")
    if not (isinstance(left, int) and isinstance(right, int)):
        raise Fault("% is for whole numbers")
    if right == 0:
        raise Fault("division by zero")
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def negative(value: Any, meter: Meter) -> Any:
    if not is_number(value):
        raise Fault(f"{kind_of(value)} has no negative", "write ! for not" if isinstance(value, bool) else "")
    return _within_64_bits(-value)


def _both_numbers(left: Any, right: Any, verb: str) -> None:
    if not (is_number(left) and is_number(right)):
        raise Fault(f"{kind_of(left)} and {kind_of(right)} cannot be {verb}")


def _number(calculate: Callable[[], Any]) -> Any:
    try:
        value = _within_64_bits(calculate())
    except OverflowError:
        value = math.inf
    if isinstance(value, float) and not math.isfinite(value):
        raise Fault("the result is no number that JSON can hold")
    return value


def _size(value: Any, meter: Meter) -> int:
    if isinstance(value, str | list | tuple | Mapping):
        return len(value)
    raise Fault(f"{kind_of(value)} has no size")


def _texts(name: str, text: Any, other: Any, meter: Meter) -> None:
    if isinstance(text, str) and isinstance(other, str):
        meter.spend(len(text) // _CHARACTERS_PER_STEP)
        return
    if isinstance(text, str):
        raise Fault(f"`{name}` takes a text, not {kind_of(other)}")
    hint = "write item in list" if name == "contains" and isinstance(text, list | tuple | Mapping) else ""
    raise Fault(f"`{name}` belongs to texts, not to {kind_of(text)}", hint)


def _contains(text: Any, part: Any, meter: Meter) -> bool:
    _texts("contains", text, part, meter)
    return part in text


def _starts_with(text: Any, start: Any, meter: Meter) -> bool:
    _texts("startsWith", text, start, meter)
    return bool(text.startswith(start))


def _ends_with(text: Any, end: Any, meter: Meter) -> bool:
    _texts("endsWith", text, end, meter)
    return bool(text.endswith(end))


@functools.lru_cache(maxsize=256)
def pattern(source: str) -> Any:
    """A regular expression that takes time linear in the text. Raises `Fault` when the source is not one."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(source, options)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise Fault(f"the pattern is not a regular expression: {reason}", "RE2 syntax, no look-around") from None


def _matches(text: Any, source: Any, meter: Meter) -> bool:
    _texts("matches", text, source, meter)
    if len(source) > LONGEST_PATTERN:
        raise Fault(f"the pattern has {len(source):,} characters; {LONGEST_PATTERN:,} is the most")
    meter.spend(len(text) // 50 + len(source))
    try:
        return pattern(source).search(text) is not None
    except UnicodeError:
        raise Fault("the text has characters that are not valid Unicode") from None


def _int(value: Any, meter: Meter) -> int:
    try:
        if isinstance(value, str) and len(value) <= 40 and "_" not in value:
            return int(_within_64_bits(int(value)))
        if is_number(value):
            return int(_within_64_bits(int(value)))
    except (ValueError, OverflowError):
        pass
    raise Fault(f"{_shown(value)} is not a whole number")


def _double(value: Any, meter: Meter) -> float:
    try:
        if (isinstance(value, str) and len(value) <= 400 and "_" not in value) or is_number(value):
            number = float(value)
            if math.isfinite(number):
                return number
    except (ValueError, OverflowError):
        pass
    raise Fault(f"{_shown(value)} is not a number")


def _string(value: Any, meter: Meter) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        if isinstance(value, int | float):
            return repr(value)
    except ValueError:
        raise Fault("the number has too many digits for a text") from None
    raise Fault(f"{kind_of(value)} is not turned into a text", "in ${{ }} every value may stand as it is")


def _bool(value: Any, meter: Meter) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise Fault(f"{_shown(value)} is neither true nor false")


def _shown(value: Any) -> str:
    return f"the text {value[:40]!r}" if isinstance(value, str) else kind_of(value)


class Function(NamedTuple):
    """A function of expressions. One that is a method is written behind its first argument."""

    run: Callable[..., Any]
    arity: int
    is_method: bool

    def takes(self, count: int, *, method: bool) -> bool:
        """Whether it can be called so, with this number of arguments."""
        return count == self.arity and (method == self.is_method or self.run is _size)


FUNCTIONS: Mapping[str, Function] = {
    "size": Function(_size, 1, is_method=True),
    "contains": Function(_contains, 2, is_method=True),
    "startsWith": Function(_starts_with, 2, is_method=True),
    "endsWith": Function(_ends_with, 2, is_method=True),
    "matches": Function(_matches, 2, is_method=True),
    "int": Function(_int, 1, is_method=False),
    "double": Function(_double, 1, is_method=False),
    "string": Function(_string, 1, is_method=False),
    "bool": Function(_bool, 1, is_method=False),
}
