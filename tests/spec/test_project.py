"""Models, trust and secrets: the project's file, the user's, and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.errors import SpecError, UsageError
from antiphon.spec.home import config_file, home_folder
from antiphon.spec.load import check_paths, find_project, load_workflow
from antiphon.spec.project import is_trusted

ONE = "agents:\n  w: {prompt: x}\nflow:\n  - w -> end\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "one.yaml").write_text(ONE, encoding="utf-8")
    return tmp_path


def configure(text: str) -> None:
    config_file().parent.mkdir(parents=True, exist_ok=True)
    config_file().write_text(text, encoding="utf-8")


def test_without_any_configuration_the_default_model_is_the_embedded_one(here: Path) -> None:
    assert {name: str(spec) for name, spec in find_project().models.items()} == {"default": "embedded:smollm2-135m"}


def test_the_project_wins_over_the_user_who_wins_over_the_built_in_default(here: Path) -> None:
    configure("models: {default: 'openai:user', mine: 'openai:mine'}\ntrust: ['python:mine.*']\n")
    assert str(find_project().models["default"]) == "openai:user"
    (here / "antiphon.yaml").write_text("models: {default: 'openai:project'}\ntrust: ['python:ours.*']\n")
    found = find_project()
    assert str(found.models["default"]) == "openai:project"
    assert str(found.models["mine"]) == "openai:mine"
    assert found.trust == ("python:mine.*", "python:ours.*")


def test_an_empty_project_file_is_a_project(here: Path) -> None:
    (here / "antiphon.yaml").write_text("# nothing yet\n")
    assert find_project().file == "antiphon.yaml"


def test_the_users_folders_move_with_antiphon_home(own_home: Path) -> None:
    assert home_folder() == own_home / "antiphon"
    assert config_file() == own_home / "antiphon" / "config.yaml"


def test_the_users_folders_are_the_platforms_without_it(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTIPHON_HOME")
    assert home_folder().is_relative_to(own_home)
    assert config_file().is_relative_to(own_home)


def test_all_that_a_model_says_is_kept(here: Path) -> None:
    (here / "antiphon.yaml").write_text(
        "models:\n"
        "  near:\n"
        "    provider: openai_compatible\n"
        "    base_url: http://127.0.0.1:8000/v1\n"
        "    model: qwen\n"
        '    api_key: "${cmd:pass show key}"\n'
        "    settings: {temperature: 0.5}\n"
        "    timeouts: {connect_s: 1, first_token_s: 2.5}\n"
        "    fallback: [default]\n"
        "  dry: {provider: scripted, replies: {writer: [one, [a, b]]}}\n"
    )
    models = find_project().models
    near = models["near"]
    assert (near.provider, near.base_url, near.model) == ("openai_compatible", "http://127.0.0.1:8000/v1", "qwen")
    assert near.api_key is not None and str(near.api_key) == "${cmd:pass show key}"
    assert (near.settings, near.timeouts) == ({"temperature": 0.5}, {"connect_s": 1, "first_token_s": 2.5})
    assert near.fallback == ("default",)
    assert models["dry"].replies == {"writer": ["one", ["a", "b"]]}
    assert (near.place.line, near.place.column) == (2, 3)


def test_scripted_replies_can_stand_in_a_file_of_their_own(here: Path) -> None:
    (here / "replies.yaml").write_text("writer: [hello]\n")
    (here / "antiphon.yaml").write_text(
        "models: {a: 'scripted:replies.yaml', b: {provider: scripted, model: replies.yaml}}\n"
    )
    models = find_project().models
    assert models["a"].replies == models["b"].replies == {"writer": ["hello"]}
    workflow, used = load_workflow("one", models={"default": "scripted:replies.yaml"})
    assert used.models["default"].replies == {"writer": ["hello"]}
    assert "replies.yaml" in workflow.sources


def test_the_command_line_wins_over_every_file(here: Path) -> None:
    (here / "antiphon.yaml").write_text(
        "models: {near: {provider: openai_compatible, base_url: 'http://127.0.0.1:1/v1', model: a}}\n"
    )
    _, used = load_workflow("one", models={"default": "openai:x", "near": "openai_compatible:b", "new": "vllm:org/m:1"})
    assert str(used.models["default"]) == "openai:x"
    assert used.models["near"].base_url == "http://127.0.0.1:1/v1"
    assert used.models["near"].model == "b"
    assert (used.models["new"].provider, used.models["new"].model) == ("vllm", "org/m:1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpt", "not of the form"),
        ("opnai:x", "no provider `opnai`"),
        ("openai:", "not of the form"),
        ("openai_compatible:x", "needs a base_url"),
        ("scripted:none.yaml", "no file `none.yaml`"),
    ],
)
def test_a_model_on_the_command_line_that_makes_no_sense_is_a_usage_error(here: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_workflow("one", models={"default": text})


def test_the_line_with_a_literal_key_is_never_shown(here: Path) -> None:
    (here / "antiphon.yaml").write_text(
        "models:\n  a: {provider: openai, model: x, api_key: topsecret, unknown: 1}\n"
        "  b: {provider: openai_compatible, model: x, base_url: 'http://me:hunter2@host/v1'}\n"
    )
    with pytest.raises(SpecError) as caught:
        find_project()
    assert "topsecret" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert [problem.code for problem in caught.value.problems] == ["literal-secret", "unknown-key", "literal-secret"]


@pytest.mark.parametrize("value", ["${env:KEY}", "${file:~/.key}", "${cmd:pass show it}"])
def test_a_reference_is_no_literal_key(here: Path, value: str) -> None:
    (here / "antiphon.yaml").write_text(f"models: {{a: {{provider: openai, model: x, api_key: '{value}'}}}}\n")
    assert check_paths(["antiphon.yaml"]) == []


@pytest.mark.parametrize("value", ["$KEY", "${KEY}", "${{ env.KEY }}", "${env:}", "KEY", "x${env:KEY}"])
def test_anything_else_is(here: Path, value: str) -> None:
    (here / "antiphon.yaml").write_text(f"models: {{a: {{provider: openai, model: x, api_key: '{value}'}}}}\n")
    assert [problem.code for problem in check_paths(["antiphon.yaml"])] == ["literal-secret"]


@pytest.mark.parametrize(
    ("name", "pattern", "trusted"),
    [
        ("checks.lint", "python:checks.*", True),
        ("checks.deep.lint", "python:checks.*", True),
        ("checks:lint", "python:checks.*", True),
        ("checks.lint", "python:checks.lint", True),
        ("checks.lint", "python:checks:lint", True),
        ("checks.lint", "python:checks", False),
        ("checksum.lint", "python:checks.*", False),
        ("my.checks.lint", "python:checks.*", False),
        ("checks.lint_all", "python:checks.lint", False),
        ("checksXlint", "python:checks.lint", False),
        ("os.system", "python:*", True),
    ],
)
def test_trust_is_by_pattern_and_never_by_accident(name: str, pattern: str, trusted: bool) -> None:
    assert is_trusted(f"python:{name}", [pattern]) is trusted


def test_nothing_is_trusted_by_default(here: Path) -> None:
    assert find_project().trust == ()


def test_trust_makes_a_tool_usable(here: Path) -> None:
    (here / "workflows" / "t.yaml").write_text(
        "agents:\n  w: {prompt: x, tools: ['python:checks.lint']}\nflow: [w -> end]\n"
    )
    assert [problem.code for problem in check_paths(["workflows/t.yaml"])] == ["untrusted-python"]
    (here / "antiphon.yaml").write_text("trust: ['python:checks.*']\n")
    assert check_paths(["workflows/t.yaml"]) == []
