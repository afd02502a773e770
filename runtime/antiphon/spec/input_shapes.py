"""The inputs that a workflow declares, and whether their defaults are of their types."""

from __future__ import annotations

from antiphon.errors import Place
from antiphon.spec.files import InputShape, WorkflowFile
from antiphon.spec.inputs import type_fits
from antiphon.spec.program import Input
from antiphon.spec.reading import Reading, Shaped
from antiphon.spec.values import CEL_WORDS, is_identifier, shown
from antiphon.spec.yaml_tree import plain


def read_inputs(reading: Reading, file: Shaped[WorkflowFile]) -> dict[str, Input | None]:
    """Name -> the input; null for one that is wrong."""
    inputs: dict[str, Input | None] = dict.fromkeys(file.lost.names_in("inputs"))
    for name, shape in (file.shape.inputs or {}).items():
        key = file.key("inputs", name)
        if not is_identifier(name):
            message = f"`{name[:60]}` cannot name an input: letters, digits and `_`, not starting with a digit"
            reading.report(file.document, key, "invalid-name", message, "`inputs.NAME` has to be an expression")
        elif name in CEL_WORDS:
            message = f"`{name}` is a reserved word and cannot name an input"
            reading.report(file.document, key, "reserved-name", message, "take another name")
        place = key if isinstance(key, Place) else key.place
        inputs[name] = _input(reading, file, name, shape, place)
    return inputs


def _input(reading: Reading, file: Shaped[WorkflowFile], name: str, shape: InputShape | None, place: Place) -> Input:
    if shape is None:
        return Input(name=name, place=place)
    has_default = "default" in shape.model_fields_set
    # The tree has the value as it was written; the model's is the same, but frozen into its field's type.
    default = plain(file.node("inputs", name, "default")) if has_default else None
    known = not file.lost.touches("inputs", name, "type")
    enum = tuple(shape.enum or ())
    if known:
        _check_values(reading, file, name, shape, default if has_default else None)
    return Input(
        name=name,
        type=shape.type,
        description=shape.description or "",
        default=default,
        required=not has_default and not file.lost.touches("inputs", name, "default"),
        enum=enum,
        place=place,
    )


def _check_values(reading: Reading, file: Shaped[WorkflowFile], name: str, shape: InputShape, default: object) -> None:
    for index, value in enumerate(shape.enum or ()):
        if not type_fits(value, shape.type):
            message = f"the input `{name}` is of type {shape.type}, and `{shown(value)}` is not"
            reading.report(file.document, file.where("inputs", name, "enum", index), "wrong-type", message)
    if default is None:
        return
    where = file.where("inputs", name, "default")
    if not type_fits(default, shape.type):
        message = f"the input `{name}` is of type {shape.type}, and its default `{shown(default)}` is not"
        hint = (
            f'quote it: "{shown(default)}"' if shape.type == "string" else f"or declare another type than {shape.type}"
        )
        reading.report(file.document, where, "wrong-type", message, hint)
    elif shape.enum and default not in shape.enum:
        allowed = ", ".join(f"`{shown(each)}`" for each in shape.enum)
        message = f"the default of `{name}` is not one of {allowed}"
        reading.report(file.document, where, "bad-value", message, "take one of them")
