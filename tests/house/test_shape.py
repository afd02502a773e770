"""The shape of the code: sizes, names, layers of import, who may print and what may be caught."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (ROOT / "runtime" / "antiphon", ROOT / "tui" / "antiphon_tui")
LONGEST_FILE = 500
LONGEST_TEST_FILE = 600
LONGEST_FUNCTION = 80
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "core", "manager", "misc", "base"}
PRINTERS = {"runtime/antiphon/cli/out.py", "runtime/antiphon/cli/diagnostics.py"}
DANGEROUS = {"eval", "exec"}
DANGEROUS_MODULES = {"pickle", "dill", "cloudpickle", "marshal", "shelve"}


def sources(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


PRODUCT = sources(*PACKAGES)
TESTS = sources(ROOT / "tests")


def allowed() -> set[str]:
    lines = (Path(__file__).parent / "allowed.txt").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def calls(tree: ast.AST) -> Iterator[str]:
    """The names of the plain functions that are called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def imports(tree: ast.AST) -> Iterator[str]:
    """The modules that are imported, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def refuse(found: list[str]) -> None:
    left = [each for each in found if each not in allowed()]
    assert not left, "\n".join(left)


def test_no_file_is_longer_than_the_house_allows() -> None:
    limits = [(path, LONGEST_FILE) for path in PRODUCT] + [(path, LONGEST_TEST_FILE) for path in TESTS]
    lengths = ((path, limit, len(path.read_text(encoding="utf-8").splitlines())) for path, limit in limits)
    refuse([f"{label(path)}:{length} lines" for path, limit, length in lengths if length > limit])


def test_no_function_is_longer_than_the_house_allows() -> None:
    found = []
    for path in PRODUCT:
        for function in functions(tree_of(path)):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > LONGEST_FUNCTION:
                found.append(f"{label(path)}:{function.name} has {length} lines")
    refuse(found)


def test_no_module_or_folder_has_a_name_that_says_nothing() -> None:
    found = []
    for path in PRODUCT:
        parts = path.relative_to(ROOT).with_suffix("").parts
        words = {word for part in parts for word in part.split("_")}
        found += [f"{label(path)}:{word}" for word in words & NAMES_THAT_SAY_NOTHING]
    refuse(found)


def statements_run_on_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Everything but the bodies of functions and what only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from statements_run_on_import(node)


def modules_imported(path: Path, names: dict[str, Path]) -> set[str]:
    """Our own modules that importing a file imports. `from package import module` imports the module."""
    found: set[str] = set()
    for node in statements_run_on_import(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= full & names.keys() or {node.module}
    return found & names.keys()


def module_names() -> dict[str, Path]:
    names: dict[str, Path] = {}
    for path in PRODUCT:
        parts = path.relative_to(ROOT).with_suffix("").parts[1:]
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    names = module_names()
    onward = {name: modules_imported(path, names) - {name} for name, path in names.items()}
    done: set[str] = set()

    def circle_from(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for target in sorted(onward[name]):
            found = circle_from(target, [*path, name])
            if found:
                return found
        done.add(name)
        return None

    for name in sorted(names):
        circle = circle_from(name, [])
        assert circle is None, " -> ".join(circle or [])


def test_only_two_files_print() -> None:
    refuse(
        [f"{label(path)}:print" for path in PRODUCT if label(path) not in PRINTERS and "print" in calls(tree_of(path))]
    )


def test_only_two_files_write_to_the_standard_streams() -> None:
    found = []
    for path in PRODUCT:
        for node in ast.walk(tree_of(path)):
            is_write = isinstance(node, ast.Attribute) and node.attr in {"write", "writelines"}
            if (
                is_write
                and isinstance(node, ast.Attribute)
                and ast.unparse(node.value).startswith(("sys.std", "sys.__std"))
            ):
                found.append(f"{label(path)}:{node.lineno} writes to {ast.unparse(node.value)}")
    refuse([each for each in found if each.split(":")[0] not in PRINTERS])


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """True for a handler of every exception that does not raise it again, as it is or as the cause of another."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    blind = handler.type is None or any(
        isinstance(each, ast.Name) and each.id in {"Exception", "BaseException"} for each in caught
    )

    def goes_on(node: ast.AST) -> bool:
        if not isinstance(node, ast.Raise):
            return False
        named = {each.id for each in (node.exc, node.cause) if isinstance(each, ast.Name)}
        return node.exc is None or handler.name in named

    return blind and not any(goes_on(node) for node in ast.walk(handler))


def test_nothing_catches_every_exception_without_saying_why() -> None:
    found = []
    for path in PRODUCT:
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ExceptHandler) or not catches_everything(node):
                continue
            if not re.search(r"# noqa: BLE001 - \w+", lines[node.lineno - 1]):
                found.append(f"{label(path)}:{node.lineno} catches everything")
    refuse(found)


def test_nothing_evaluates_text_or_unpickles() -> None:
    found = []
    for path in PRODUCT:
        tree = tree_of(path)
        found += [f"{label(path)}:{name}" for name in calls(tree) if name in DANGEROUS]
        found += [f"{label(path)}:{name}" for name in imports(tree) if name.split(".")[0] in DANGEROUS_MODULES]
    refuse(found)


@pytest.mark.parametrize("path", PRODUCT, ids=label)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    tree = tree_of(path)
    assert not tree.body or ast.get_docstring(tree), f"{label(path)} has no docstring"


def test_the_list_of_exceptions_is_empty() -> None:
    assert allowed() == set()
