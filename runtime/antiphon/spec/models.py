"""What `models:` says, checked: where each model lives, with references where secrets belong."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from antiphon.errors import Place, UsageError
from antiphon.spec.files import ModelShape, ProjectFile
from antiphon.spec.program import ModelSpec, Price
from antiphon.spec.reading import Reading, Shaped, scalar_at
from antiphon.spec.secrets import looks_secret
from antiphon.spec.suggestions import did_you_mean
from antiphon.spec.values import parse_secret
from antiphon.spec.yaml_tree import Document, YamlList, YamlMapping, YamlNode, YamlScalar, plain

PROVIDERS = ("embedded", "vllm", "openai", "anthropic", "openai_compatible", "scripted")
EMBEDDED_DEFAULT = "smollm2-135m"

_MODEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*", re.IGNORECASE)


def built_in_default() -> ModelSpec:
    """The model `default` where nothing else is configured: the embedded one."""
    return ModelSpec(name="default", provider="embedded", model=EMBEDDED_DEFAULT, place=Place("built-in"))


def read_models(reading: Reading, file: Shaped[ProjectFile]) -> dict[str, ModelSpec]:
    """The models that a project's file names, without those that are wrong."""
    specs: dict[str, ModelSpec] = {}
    for name, shape in (file.shape.models or {}).items():
        if not _MODEL_NAME.fullmatch(name):
            reading.report(
                file.document,
                file.key("models", name),
                "invalid-name",
                f"`{name[:60]}` cannot be a model's name",
                "letters, digits, `_`, `-` and `.`",
            )
        spec = _short(reading, file, name, shape) if isinstance(shape, str) else _long(reading, file, name, shape)
        if spec is not None:
            specs[name] = spec
    return specs


def check_fallbacks(reading: Reading, file: Shaped[ProjectFile], models: Mapping[str, ModelSpec]) -> None:
    """Every name in a `fallback` is another model, and they do not go round in a circle."""
    for name, spec in models.items():
        for index, other in enumerate(spec.fallback):
            node = file.node("models", name, "fallback", index)
            if node is None:
                continue
            if other not in models and not file.lost.has("models", other):
                hint = did_you_mean(other, models)
                reading.report(file.document, node, "unknown-model", f"there is no model `{other}`", hint)
            elif name in _behind(other, models):
                reading.report(
                    file.document, node, "fallback-cycle", f"`{name}` falls back on itself", "leave one of them out"
                )


def _behind(name: str, models: Mapping[str, ModelSpec]) -> set[str]:
    """A model and all that it falls back on."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in seen and one in models:
            seen.add(one)
            waiting += models[one].fallback
    return seen


def split_short(text: str) -> tuple[str, str] | None:
    """Provider and model in `provider:model`; null when it is not of that form."""
    provider, colon, model = text.strip().partition(":")
    # `scripted:` alone plays no file: every agent echoes that it was asked.
    return (provider, model) if colon and provider and (model or provider == "scripted") else None


def override_models(
    models: Mapping[str, ModelSpec], given: Mapping[str, str], reading: Reading
) -> dict[str, ModelSpec]:
    """The models with those of the command line over them. Raises `UsageError` for one that makes no sense."""
    specs = dict(models)
    for name, text in given.items():
        parts = split_short(text)
        if not _MODEL_NAME.fullmatch(name) or parts is None:
            raise UsageError(
                f"--model {name}={text} is not of the form NAME=provider:model",
                hint="such as --model default=openai:gpt-5-mini",
            )
        provider, model = parts
        if provider not in PROVIDERS:
            raise UsageError(
                f"--model {name}={text}: there is no provider `{provider}`", hint=did_you_mean(provider, PROVIDERS)
            )
        before = specs.get(name)
        if before is None or before.provider != provider:
            before = ModelSpec(name=name, provider=provider, place=Place(f"--model {name}={text}"))
        if provider == "openai_compatible" and before.base_url is None:
            raise UsageError(
                f"--model {name}={text}: openai_compatible needs a base_url",
                hint=f"declare `{name}` under models: in antiphon.yaml, with its base_url",
            )
        replies = _replies_of_file(reading, model, None, None) if provider == "scripted" and model else {}
        specs[name] = ModelSpec(
            name=name,
            provider=provider,
            model=model,
            base_url=before.base_url,
            api_key=before.api_key,
            settings=before.settings,
            timeouts=before.timeouts,
            replies=replies,
            fallback=before.fallback,
            price=before.price if model == before.model else None,
            place=before.place,
        )
    return specs


def _short(reading: Reading, file: Shaped[ProjectFile], name: str, text: str) -> ModelSpec | None:
    where = file.where("models", name)
    parts = split_short(text)
    if parts is None:
        if not looks_secret(text):
            reading.report(
                file.document,
                where,
                "bad-model",
                f"`{name}` has to be `provider:model` or a mapping, not `{text[:60]}`",
                did_you_mean(text, PROVIDERS, otherwise="such as `openai:gpt-5-mini`"),
            )
        return None
    provider, model = parts
    if provider not in PROVIDERS:
        hint = did_you_mean(provider, PROVIDERS)
        reading.report(file.document, where, "unknown-provider", f"there is no provider `{provider[:60]}`", hint)
        return None
    if provider == "openai_compatible":
        hint = f"write {{provider: openai_compatible, base_url: ..., model: {model}}}"
        reading.report(file.document, where, "missing-key", "openai_compatible needs a base_url", hint)
        return None
    replies = _replies_of_file(reading, model, file, where) if provider == "scripted" else {}
    return ModelSpec(name=name, provider=provider, model=model, replies=replies, place=_place(where))


def _long(reading: Reading, file: Shaped[ProjectFile], name: str, shape: ModelShape) -> ModelSpec | None:
    key = file.key("models", name)
    provider = shape.provider

    def lacks(field: str, hint: str) -> None:
        if not file.lost.has("models", name, field):
            reading.report(file.document, key, "missing-key", f"`{name}` needs the key `{field}`", hint)

    if provider == "openai_compatible" and shape.base_url is None:
        lacks("base_url", "such as `base_url: http://127.0.0.1:8000/v1`")
    if shape.model is None and provider not in ("embedded", "scripted"):
        lacks("model", "the model's name at the server")
    if provider == "scripted" and shape.model is None and shape.replies is None:
        lacks("replies", "agent -> a list of what it says, or `model:` with the path of a YAML file of that")
    if shape.replies is not None and provider != "scripted":
        reading.report(
            file.document,
            file.key("models", name, "replies"),
            "misplaced-key",
            "`replies` belongs to the provider `scripted`",
            "leave it out, or set `provider: scripted`",
        )
    _check_url(reading, file, name)
    replies: Mapping[str, Any] = shape.replies or {}
    if provider == "scripted" and shape.replies is None and shape.model is not None:
        replies = _replies_of_file(reading, shape.model, file, file.where("models", name, "model"))
    elif shape.replies is not None:
        _check_replies(reading, file.document, file.node("models", name, "replies"))
    return ModelSpec(
        name=name,
        provider=provider,
        model=shape.model or (EMBEDDED_DEFAULT if provider == "embedded" else ""),
        base_url=shape.base_url,
        api_key=parse_secret(shape.api_key) if shape.api_key else None,
        settings=shape.settings.sent() if shape.settings else {},
        timeouts=shape.timeouts.model_dump(exclude_none=True) if shape.timeouts else {},
        replies=replies,
        fallback=tuple(shape.fallback or ()),
        price=Price(shape.price.prompt, shape.price.completion) if shape.price else None,
        place=_place(key),
    )


def _check_url(reading: Reading, file: Shaped[ProjectFile], name: str) -> None:
    scalar = scalar_at(file, "models", name, "base_url")
    if scalar is None or not isinstance(scalar.value, str):
        return
    found = _URL.fullmatch(scalar.value.strip())
    if not found:
        hint = "such as http://127.0.0.1:8000/v1"
        reading.report(file.document, scalar, "bad-url", f"`{scalar.value[:60]}` is not an http or https address", hint)


def _replies_of_file(
    reading: Reading, path: str, file: Shaped[ProjectFile] | None, where: YamlNode | Place | None
) -> dict[str, Any]:
    """What a scripted model says, from a YAML file of its own beside the project's file, or in the current folder."""
    whole = os.path.join(os.path.dirname(file.document.file), path) if file else path
    document = reading.document(whole)
    if document is None:
        message = f"there is no file `{path[:200]}` of scripted replies"
        hint = "it maps agents to what they say: `writer: [first, second]`"
        if file is None or where is None:
            raise UsageError(message, hint=hint)
        reading.report(file.document, where, "no-such-file", message, hint)
        return {}
    _check_replies(reading, document, document.root)
    return plain(document.root) if document.root is not None else {}


def _check_replies(reading: Reading, document: Document, node: YamlNode | None) -> None:
    if not isinstance(node, YamlMapping):
        return
    for key, value in node.pairs():
        for item in value.items if isinstance(value, YamlList) else [value]:
            if isinstance(item, YamlScalar) and not isinstance(item.value, str):
                message = f"a reply of `{key.value[:60]}` has to be a text, a list of steps or a mapping"
                reading.report(document, item, "wrong-type", message, "quote it if you mean the text")


def _place(where: YamlNode | Place) -> Place:
    return where if isinstance(where, Place) else where.place
