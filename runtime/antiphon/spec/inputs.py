"""Input values: from text or data to the types that a workflow declares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from antiphon.errors import UsageError
from antiphon.spec.program import Input, JsonObject, Workflow
from antiphon.spec.suggestions import did_you_mean
from antiphon.spec.values import shown

_EXPECTED = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": 'a JSON list, such as \'["a", "b"]\'',
    "object": "a JSON object, such as '{\"a\": 1}'",
}


class _Misfit(Exception):
    """A value that is not of the declared type."""


def type_fits(value: Any, type_name: str) -> bool:
    """Whether a value is of a declared type as it is."""
    if type_name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if type_name == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    kinds: dict[str, type] = {"string": str, "boolean": bool, "array": list, "object": dict}
    return isinstance(value, kinds[type_name])


def bind_inputs(workflow: Workflow, given: Mapping[str, Any]) -> JsonObject:
    """Every input's value: the given one converted to its type, else the default.

    Raises one `UsageError` that names every unknown, missing and ill-typed input.
    """
    faults: list[str] = []
    bound: JsonObject = {}
    for name in given:
        if name not in workflow.inputs:
            hint = did_you_mean(name, workflow.inputs)
            faults.append(f"there is no input `{name}`{f'; {hint}' if hint else ''}")
    for name, declared in workflow.inputs.items():
        if name in given:
            try:
                bound[name] = _converted(given[name], declared)
            except _Misfit as misfit:
                faults.append(str(misfit))
        elif declared.required:
            about = f" ({declared.description})" if declared.description else ""
            faults.append(f"the input `{name}` is missing{about}")
        else:
            bound[name] = declared.default
    if faults:
        raise UsageError("; ".join(faults), hint=_usage(workflow))
    return bound


def _converted(value: Any, declared: Input) -> Any:
    made = _from_text(value, declared) if isinstance(value, str) and declared.type != "string" else value
    if isinstance(made, tuple):
        made = list(made)
    if declared.type == "number" and isinstance(made, int) and not isinstance(made, bool):
        made = int(made)
    if made is None and not declared.required and declared.default is None:
        return None
    if not type_fits(made, declared.type):
        raise _Misfit(f"the input `{declared.name}` has to be {_EXPECTED[declared.type]}, not `{shown(value)}`")
    if declared.enum and made not in declared.enum:
        allowed = ", ".join(f"`{shown(each)}`" for each in declared.enum)
        raise _Misfit(f"the input `{declared.name}` has to be one of {allowed}, not `{shown(value)}`")
    return made


def _from_text(text: str, declared: Input) -> Any:
    """A text of the command line as a value; the text itself when it is none of the type."""
    stripped = text.strip()
    if declared.type == "boolean":
        return {"true": True, "false": False}.get(stripped.lower(), text)
    if declared.type in ("integer", "number"):
        digits = stripped.replace("_", "")
        try:
            return int(digits) if declared.type == "integer" else _number(digits)
        except (ValueError, OverflowError):
            return text
    try:
        return json.loads(stripped, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _number(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        value = float(digits)
        if value != value or abs(value) == float("inf"):
            raise ValueError(digits) from None
        return value


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _usage(workflow: Workflow) -> str:
    if not workflow.inputs:
        return f"the workflow `{workflow.name}` takes no inputs"
    names = ", ".join(f"{each.name} ({each.type})" for each in workflow.inputs.values())
    return f"give inputs with -i name=value; `{workflow.name}` takes: {names}"
