"""Values under `with:`: plain data in which texts may hold `${{ }}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from antiphon.errors import Place
from antiphon.spec.program import Scope
from antiphon.spec.reading import Reading
from antiphon.spec.templates import ParsedTemplate, text_of
from antiphon.spec.yaml_tree import YamlList, YamlMapping, YamlNode, YamlScalar, plain


class StructuredTemplate:
    """A list or a mapping with templates somewhere inside."""

    def __init__(self, node: YamlList | YamlMapping, made: Any) -> None:
        self._made = made
        self.place: Place = node.place
        self.source = text_of(plain(node))

    def render(self, scope: Scope) -> Any:
        """The list or mapping with the values in it. Raises `WorkflowFailed`."""
        return _rendered(self._made, scope)

    def text(self, scope: Scope) -> str:
        """The same as JSON."""
        return text_of(self.render(scope))


def _rendered(made: Any, scope: Scope) -> Any:
    if isinstance(made, ParsedTemplate):
        return made.render(scope)
    if isinstance(made, list):
        return [_rendered(each, scope) for each in made]
    if isinstance(made, dict):
        return {key: _rendered(each, scope) for key, each in made.items()}
    return made


def compile_values(reading: Reading, node: YamlNode | None) -> Mapping[str, Any]:
    """Name -> a template, or the plain value where there is nothing to insert."""
    if not isinstance(node, YamlMapping):
        return {}
    return {key.value: _compiled_value(reading, value) for key, value in node.pairs()}


def _compiled_value(reading: Reading, node: YamlNode) -> Any:
    made = _compiled(reading, node)
    if isinstance(node, YamlScalar):
        return made
    return StructuredTemplate(node, made) if _holds_template(made) else plain(node)


def _compiled(reading: Reading, node: YamlNode) -> Any:
    if isinstance(node, YamlScalar):
        if not isinstance(node.value, str):
            return node.value
        template = reading.template(node)
        return node.value if template is None or node.value == _constant(template) else template
    if isinstance(node, YamlList):
        return [_compiled(reading, item) for item in node.items]
    return {key.value: _compiled(reading, value) for key, value in node.pairs()}


def _constant(template: ParsedTemplate) -> str | None:
    return str(template.render({})) if template.is_constant else None


def _holds_template(made: Any) -> bool:
    if isinstance(made, list):
        return any(_holds_template(each) for each in made)
    if isinstance(made, dict):
        return any(_holds_template(each) for each in made.values())
    return isinstance(made, ParsedTemplate)


def scalars_in(node: YamlNode | None) -> Iterator[YamlScalar]:
    """Every text in a value."""
    if isinstance(node, YamlScalar):
        if isinstance(node.value, str):
            yield node
    elif isinstance(node, YamlList):
        for item in node.items:
            yield from scalars_in(item)
    elif node is not None:
        for _, value in node.pairs():
            yield from scalars_in(value)
