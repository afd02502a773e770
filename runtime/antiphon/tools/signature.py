"""The arguments of a Python function: their JSON Schema for the model, and their values for the function."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from antiphon.spec.suggestions import nearest
from antiphon.tools.docstrings import read_docstring
from antiphon.tools.tool import ToolContext

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

JsonObject = dict[str, Any]

_PROBLEMS_SHOWN = 5


class BadSignature(Exception):
    """The function cannot be called by a model; the text says why."""


class BadArguments(Exception):
    """The arguments do not fit; the text tells the model what would."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument that the model gives."""

    name: str
    adapter: TypeAdapter[Any]
    required: bool
    positional: bool
    """True when it cannot be given by name."""


class Signature:
    """What a function takes. Made once per tool."""

    def __init__(self, function: Callable[..., Any]) -> None:
        told = read_docstring(inspect.getdoc(_bare(function)))
        self.description = told.description
        self.parameters: dict[str, Parameter] = {}
        self.context_name: str | None = None
        self._context_positional = False
        descriptions = dict(told.parameters)
        defaults: dict[str, Any] = {}
        hints = _hints(function)
        for parameter in _inspected(function):
            hint = hints.get(parameter.name, Any)
            if _is_context(hint):
                self.context_name = parameter.name
                self._context_positional = parameter.kind is parameter.POSITIONAL_ONLY
                continue
            self.parameters[parameter.name] = _parameter(parameter, hint)
            if parameter.default is not parameter.empty:
                defaults[parameter.name] = parameter.default
            descriptions.update(_told_by_hint(parameter.name, hint))
        self.schema = self._schema(descriptions, defaults)

    def one_text(self) -> str | None:
        """The name of the only argument that has to be given, when it is a text."""
        needed = [one for one in self.parameters.values() if one.required] or list(self.parameters.values())
        if len(needed) != 1:
            return None
        return needed[0].name if self.schema["properties"][needed[0].name].get("type") == "string" else None

    def bind(self, arguments: Mapping[str, Any], context: ToolContext | None) -> tuple[list[Any], dict[str, Any]]:
        """The arguments as Python values, positional and by name. Raises `BadArguments`."""
        from pydantic import ValidationError

        problems = [self._unknown(name) for name in arguments if name not in self.parameters]
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for parameter in self.parameters.values():
            if parameter.name not in arguments:
                continue
            given = arguments[parameter.name]
            try:
                value = parameter.adapter.validate_python(given)
            except ValidationError as error:
                if given is None and not parameter.required:
                    # Models write null for what they leave out.
                    continue
                problems += _told(parameter.name, error)
                continue
            if parameter.positional:
                positional.append(value)
            else:
                named[parameter.name] = value
        missing = [f"`{one.name}`" for one in self.parameters.values() if one.required and one.name not in arguments]
        if missing:
            problems.append(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
        if problems:
            raise BadArguments(f"{'; '.join(problems[-_PROBLEMS_SHOWN:])}. {self.usage()}")
        if self.context_name is not None:
            if self._context_positional:
                positional.insert(0, context)
            else:
                named[self.context_name] = context
        return positional, named

    def usage(self) -> str:
        """One sentence that names the arguments."""
        if not self.parameters:
            return "It takes no arguments: {}"
        shown = [
            f"{one.name} ({_kind(self.schema['properties'][one.name])}{'' if one.required else ', optional'})"
            for one in self.parameters.values()
        ]
        return f"The arguments are: {', '.join(shown)}"

    def _unknown(self, name: str) -> str:
        close = nearest(name, self.parameters)
        return f"there is no argument `{name[:60]}`" + (f", did you mean `{close}`?" if close else "")

    def _schema(self, descriptions: Mapping[str, str], defaults: Mapping[str, Any]) -> JsonObject:
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

        try:
            made, shared = TypeAdapter.json_schemas(
                [(name, "validation", one.adapter) for name, one in self.parameters.items()],
                schema_generator=_generator(),
            )
        except (PydanticInvalidForJsonSchema, PydanticUserError) as error:
            raise BadSignature(f"its parameters have no JSON Schema: {str(error).splitlines()[0]}") from error
        properties: JsonObject = {}
        for name, one in self.parameters.items():
            properties[name] = dict(made[(name, "validation")])
            if name in descriptions and "description" not in properties[name]:
                properties[name]["description"] = descriptions[name]
            if name in defaults:
                properties[name].update(_default(one.adapter, defaults[name]))
        required = [name for name, one in self.parameters.items() if one.required]
        schema: JsonObject = {"type": "object", "properties": properties, "required": required}
        schema["additionalProperties"] = False
        return schema | ({"$defs": shared["$defs"]} if shared.get("$defs") else {})


def _parameter(parameter: inspect.Parameter, hint: Any) -> Parameter:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise BadSignature(f"it takes `{parameter}`; name each argument instead")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
    except PydanticUserError as error:
        raise BadSignature(
            f"the type of `{parameter.name}` has no JSON Schema: {str(error).splitlines()[0]}"
        ) from error
    required = parameter.default is parameter.empty
    positional = parameter.kind is parameter.POSITIONAL_ONLY
    return Parameter(parameter.name, adapter, required, positional)


def _bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it was written: under its decorators and partials, or the method that a callable object has."""
    bare: Any = inspect.unwrap(function)
    while isinstance(bare, functools.partial):
        bare = inspect.unwrap(bare.func)
    return bare if inspect.isroutine(bare) else type(bare).__call__


def _inspected(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except NameError as error:
        raise BadSignature(f"its type hints cannot be read: {error}") from error
    except (TypeError, ValueError) as error:
        raise BadSignature("nothing says which arguments it takes") from error


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(_bare(function), include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise BadSignature(f"its type hints cannot be read: {error}") from error


def _is_context(hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, types.UnionType, Annotated):
        return any(_is_context(part) for part in typing.get_args(hint))
    return hint is ToolContext


def _told_by_hint(name: str, hint: Any) -> dict[str, str]:
    """`Annotated[str, "what it is"]` describes a parameter."""
    if typing.get_origin(hint) is not Annotated:
        return {}
    texts = [part for part in typing.get_args(hint)[1:] if isinstance(part, str)]
    return {name: texts[0]} if texts else {}


def _default(adapter: TypeAdapter[Any], value: Any) -> JsonObject:
    from pydantic_core import PydanticSerializationError

    try:
        return {"default": adapter.dump_python(value, mode="json", warnings=False)}
    except (PydanticSerializationError, ValueError):
        return {}


def _told(name: str, error: ValidationError) -> list[str]:
    found = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join([name, *map(str, one["loc"])])
        message = one["msg"]
        found.append(f"`{where}`: {message[:1].lower()}{message[1:]}")
    return found


def _kind(schema: JsonObject) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(part) for part in schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return str(schema.get("type", "any value"))


def _generator() -> Any:
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        """Titles repeat the names and cost tokens."""

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    return Untitled
