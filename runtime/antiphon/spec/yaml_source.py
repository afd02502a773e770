"""Text to a YAML tree: the safe subset that all our files use, with every problem at its place.

YAML 1.2 rules (`yes` is a string, `010` is ten), integers may be grouped as `1_000`, keys are strings, one document per
file; no tags, no `<<`, no duplicate keys. Size, depth and the number of nodes are bounded, aliases counted in full.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from antiphon.spec.yaml_faults import explain
from antiphon.spec.yaml_tree import (
    BROKEN,
    MERGE,
    Document,
    YamlEntry,
    YamlList,
    YamlMapping,
    YamlNode,
    YamlScalar,
)

MAX_BYTES = 524_288
MAX_DEPTH = 50
MAX_NODES = 10_000
MAX_FAULTS = 100
"""Problems of YAML itself after which the rest of a file is not read."""

_INTEGER = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
"""Characters that a file may hold only as escapes."""
_LARGEST_INTEGER = 2**63 - 1


def plain_value(text: str) -> Any:
    """What an unquoted scalar means; `BROKEN` for a number that JSON cannot carry."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first in "0123456789+-.":
        return _number(text)
    return text


def _number(text: str) -> Any:
    if len(text) > 400:
        return text if not _FLOAT.fullmatch(text) and not _INTEGER.fullmatch(text) else BROKEN
    if _INTEGER.fullmatch(text):
        value: int | float = int(text)
    elif _OTHER_BASE.fullmatch(text):
        value = int(text, 0)
    elif _FLOAT.fullmatch(text):
        value = float(text)
        return value if abs(value) != float("inf") else BROKEN
    else:
        return BROKEN if _NOT_FINITE.fullmatch(text) else text
    return value if abs(value) <= _LARGEST_INTEGER else BROKEN


def parse_bytes(data: bytes, file: str) -> Document:
    """The document in a file's bytes; what is wrong with them is among its problems."""
    if len(data) > MAX_BYTES:
        return _too_large(file)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        document = Document(file, "")
        document.problems.append(
            document.problem(0, "bad-encoding", "the file is UTF-16, not UTF-8", "save it as UTF-8")
        )
        return document
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        document = Document(file, data.decode("utf-8", "replace"))
        offset = len(data[: error.start].decode("utf-8", "replace"))
        document.problems.append(
            document.problem(offset, "bad-encoding", "these bytes are not UTF-8", "save the file as UTF-8")
        )
        return document
    return parse_yaml(text, file)


def _too_large(file: str) -> Document:
    document = Document(file, "")
    document.problems.append(
        document.problem(
            0,
            "file-too-large",
            f"the file is larger than {MAX_BYTES // 1024} KiB",
            "keep long texts in files of their own and pass them as inputs: -i name=@file",
        )
    )
    return document


def parse_yaml(text: str, file: str) -> Document:
    """The document in a text. It has no root when the text is not YAML or goes beyond a limit."""
    if len(text) > MAX_BYTES:
        return _too_large(file)
    document = Document(file, text.removeprefix("\ufeff"))
    found = FORBIDDEN.search(document.text)
    if found:
        document.problems.append(
            document.problem(
                found.start(),
                "bad-character",
                f"the character U+{ord(found[0]):04X} cannot stand in a YAML file",
                'delete it, or write it as an escape such as "\\x07" in double quotes',
            )
        )
        return document
    builder = _Builder(document)
    try:
        builder.build()
    except _Stop:
        pass
    except yaml.MarkedYAMLError as error:
        problem = explain(document, error, builder.open_flow())
        # What stopped the parser says more about a place than what the builder made of its beginning.
        document.problems = [earlier for earlier in document.problems if earlier.place != problem.place]
        document.problems.append(problem)
    except yaml.YAMLError as error:
        document.problems.append(document.problem(0, "yaml-syntax", str(error).splitlines()[0]))
    else:
        _take_root(document, builder.root)
    return document


def _take_root(document: Document, root: YamlNode | None) -> None:
    if isinstance(root, YamlMapping):
        document.root = root
    elif root is None or (isinstance(root, YamlScalar) and root.value is None):
        document.is_empty = True
    elif not (isinstance(root, YamlScalar) and root.value is BROKEN):
        document.problems.append(
            document.problem(
                root, "wrong-type", "the file has to be a mapping of keys to values, such as `prompt: ...`"
            )
        )


class _Stop(Exception):
    """A limit was reached; the problem is already noted."""


@dataclass(slots=True)
class _Open:
    """A collection under construction."""

    node: YamlMapping | YamlList
    anchor: str | None
    size_before: int
    flow: bool
    is_refused: bool
    key: YamlScalar | None = None
    expects_key: bool = True


class _Builder:
    """Turns libyaml's events into a tree without recursion."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.root: YamlNode | None = None
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[YamlNode, int]] = {}
        self.size = 0

    def open_flow(self) -> int | None:
        """Where the outermost bracket opened that is still open."""
        return next((frame.node.start for frame in self.stack if frame.flow), None)

    def build(self) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        documents = 0
        for event in yaml.parse(self.document.text, Loader=loader):
            start, end = _offset(event.start_mark), _offset(event.end_mark)
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event, start, end)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._open(event, start, end)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._close(end)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(str(event.anchor), start)
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._fail(start, "many-documents", "a second document starts here", "one document per file")
                    raise _Stop

    def _fail(self, offset: int, code: str, message: str, hint: str = "") -> None:
        self.document.problems.append(self.document.problem(offset, code, message, hint))
        if len(self.document.problems) >= MAX_FAULTS:
            raise _Stop

    def _count(self, size: int, offset: int) -> None:
        self.size += size
        if self.size > MAX_NODES:
            self._fail(
                offset,
                "too-many-nodes",
                f"the file holds more than {MAX_NODES} values, aliases counted in full",
                "split it into several files",
            )
            raise _Stop

    def _scalar(self, event: Any, start: int, end: int) -> None:
        self._count(1, start)
        style = event.style or ""
        value = plain_value(event.value) if not style and event.implicit[0] else event.value
        if event.tag is not None:
            value = self._refuse_tag(event.tag, start, bool(event.value))
        elif value is BROKEN:
            self._fail(
                start,
                "bad-number",
                f"{_shown(event.value)} is not a number that JSON can carry",
                "quote it, or use a smaller one",
            )
        node = YamlScalar(self.document, start, end, value, style)
        if event.anchor:
            self.anchors[event.anchor] = (node, 1)
        self._place(node, is_merge=not style and event.value == MERGE)

    def _refuse_tag(self, tag: str, start: int, has_value: bool) -> Any:
        written = self.document.text[start : start + 40].split()[0].rstrip(",]}")
        if has_value or tag.startswith("tag:"):
            hint = "delete the tag; quote the text if it starts with `!`"
        else:
            hint = f'quote it: "{written}"'
        self._fail(start, "yaml-tag", f"`{written}` is a YAML tag here, and tags are not allowed", hint)
        return BROKEN

    def _open(self, event: Any, start: int, end: int) -> None:
        self._count(1, start)
        if event.tag is not None:
            self._refuse_tag(event.tag, start, True)
        if len(self.stack) >= MAX_DEPTH:
            self._fail(start, "too-deep", f"values are nested more than {MAX_DEPTH} deep")
            raise _Stop
        kind = YamlMapping if isinstance(event, yaml.MappingStartEvent) else YamlList
        node: YamlMapping | YamlList = kind(self.document, start, end)
        self.stack.append(_Open(node, event.anchor, self.size - 1, bool(event.flow_style), event.tag is not None))

    def _close(self, end: int) -> None:
        frame = self.stack.pop()
        frame.node.end = end
        if frame.anchor:
            self.anchors[frame.anchor] = (frame.node, self.size - frame.size_before)
        if frame.is_refused:
            self._place(YamlScalar(self.document, frame.node.start, end, BROKEN))
        else:
            self._place(frame.node)

    def _alias(self, name: str, start: int) -> None:
        known = self.anchors.get(name)
        if known is None:
            self._fail(
                start,
                "unknown-alias",
                f"`*{name}` is a YAML alias, and no `&{name}` stands before it",
                f'quote it if you mean the text: "*{name}"',
            )
            self._count(1, start)
            self._place(YamlScalar(self.document, start, start, BROKEN))
            return
        node, size = known
        self._count(size, start)
        self._place(node)

    def _place(self, node: YamlNode, *, is_merge: bool = False) -> None:
        """Hangs a finished node where it belongs: under the open list or mapping, or as the root."""
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if isinstance(frame.node, YamlList):
            frame.node.items.append(node)
            return
        if frame.expects_key:
            frame.expects_key = False
            frame.key = self._accept_key(frame.node, node, is_merge)
            return
        frame.expects_key = True
        if frame.key is not None and frame.key.value == MERGE and not frame.key.style:
            node = YamlScalar(self.document, node.start, node.end, BROKEN)
        if frame.key is not None:
            frame.node.entries[frame.key.value] = YamlEntry(frame.key, node)

    def _accept_key(self, mapping: YamlMapping, node: YamlNode, is_merge: bool) -> YamlScalar | None:
        """The key, or null when it was refused and its value goes nowhere."""
        if is_merge:
            self._fail(node.start, "merge-key", "`<<` merges are not allowed", "write the keys out")
            return node if isinstance(node, YamlScalar) else None
        if not isinstance(node, YamlScalar) or not isinstance(node.value, str):
            if not (isinstance(node, YamlScalar) and node.value is BROKEN):
                written = _shown(self.document.text[node.start : min(node.end, node.start + 60)])
                hint = f'quote it: "{written}"' if isinstance(node, YamlScalar) else "a key is one plain word"
                self._fail(node.start, "key-not-string", f"the key `{written}` is not a string", hint)
            return None
        first = mapping.key(node.value)
        if first is not None:
            line = self.document.place(first.start).line
            here = self.document.place(node.start).line
            self._fail(
                node.start,
                "duplicate-key",
                f"the key `{_shown(node.value)}` on line {here} is already on line {line}",
                "keep one of them",
            )
            return None
        return node


def _shown(text: str) -> str:
    """A value as it may stand in a message: one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def _offset(mark: Any) -> int:
    """How many characters stand before a mark."""
    return int(mark.index)
