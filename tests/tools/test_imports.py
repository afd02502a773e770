"""YAML imports the Python that its project trusts, and says why when it cannot."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.errors import SpecError
from antiphon.tools.python_tools import load_python_tool, python_tool
from antiphon.tools.signature import BadSignature
from antiphon.tools.tool import Tool
from fakes.tools import PLACE, call


@pytest.mark.parametrize("name", ["variadic", "keyed", "unknown_type", "no_schema", "constant", "Robot", "readabilty"])
def test_what_cannot_be_a_tool_is_refused_at_its_place_with_a_hint(load: Callable[[str], Tool], name: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(name)
    problem = caught.value.problems[0]
    assert problem.place == PLACE
    assert problem.hint
    assert name in problem.message


def test_python_that_is_not_trusted_is_not_imported(project: Path) -> None:
    (project / "danger.py").write_text("raise SystemExit('imported')", "utf-8")
    for trust in ([], ["python:checks.*"], ["python:danger"], ["danger.other"]):
        with pytest.raises(SpecError, match="not trusted") as caught:
            load_python_tool("python:danger.run", PLACE, trust=trust, root=project)
        assert caught.value.problems[0].code == "untrusted-python"
    assert "danger" not in sys.modules


@pytest.mark.parametrize(
    ("source", "code", "parts"),
    [
        ("raise SystemExit(4)", "python-import-failed", ["SystemExit: 4", "line 1"]),
        ("1 / 0", "python-import-failed", ["ZeroDivisionError", "line 1"]),
        ("def broken(:", "python-import-failed", ["SyntaxError", "line 1"]),
        ("import no_such_package_here", "python-import-failed", ["no_such_package_here", "not installed"]),
        (
            "from antiphon.tools.declare import tool\n@tool(effect='pur')\ndef run(): ...",
            "python-import-failed",
            ["pure"],
        ),
    ],
)
def test_a_module_that_cannot_be_imported_says_why_and_where(
    tmp_path: Path, request: pytest.FixtureRequest, source: str, code: str, parts: list[str]
) -> None:
    name = f"broken{request.node.callspec.indices['source']}"
    (tmp_path / f"{name}.py").write_text(source, "utf-8")
    with pytest.raises(SpecError) as caught:
        load_python_tool(f"python:{name}.run", PLACE, trust=["*"], root=tmp_path)
    problem = caught.value.problems[0]
    assert problem.code == code
    assert [part for part in parts if part not in problem.message + problem.hint] == []


@pytest.mark.parametrize(
    "reference", ["python:", "python:x", "python:a..b", "python:a.b.", "python:a-b.c", "python:a b.c"]
)
def test_a_reference_that_is_no_name_is_refused(project: Path, reference: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_python_tool(reference, PLACE, trust=["*"], root=project)
    assert caught.value.problems[0].code == "invalid-python"


def test_a_module_that_does_not_exist_is_named(project: Path) -> None:
    with pytest.raises(SpecError, match="no Python module `nowhere`") as caught:
        load_python_tool("python:nowhere.at.all", PLACE, trust=["*"], root=project)
    assert str(project) in caught.value.problems[0].hint


async def test_two_projects_may_each_have_a_module_of_the_same_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        package = tmp_path / name / "shared_name"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("", "utf-8")
        (package / "inner.py").write_text(
            textwrap.dedent("""
            from shared_name.word import WORD
            def speak() -> str:
                return WORD
            """),
            "utf-8",
        )
        (package / "word.py").write_text(f"WORD = {name!r}", "utf-8")
    for name in ("one", "two", "one"):
        tool = load_python_tool("python:shared_name.inner:speak", PLACE, trust=["*"], root=tmp_path / name)
        assert await call(tool, "") == (True, name)


def test_a_module_named_like_one_of_pythons_own_is_refused_and_not_mistaken_for_it(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("def loads(text: str) -> str: return text", "utf-8")
    with pytest.raises(SpecError) as caught:
        load_python_tool("python:json.loads", PLACE, trust=["*"], root=tmp_path)
    assert caught.value.problems[0].code == "python-name-taken"
    assert json.loads("1") == 1


def test_a_function_whose_parameters_nobody_knows_is_refused() -> None:
    with pytest.raises(BadSignature):
        python_tool(max, "max")
