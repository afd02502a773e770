"""`antiphon init`: a small project that validates and runs."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  antiphon init
  antiphon init letters && cd letters && antiphon run letter"""

FILES = {
    "antiphon.yaml": """\
# Which model a name stands for. `default` runs on this machine's processor, without a key.
models:
  default: embedded:smollm2-135m
  # work:
  #   provider: openai_compatible
  #   base_url: "http://127.0.0.1:8000/v1"
  #   model: Qwen/Qwen3-8B
""",
    "agents/writer.yaml": """\
description: Writes short, friendly letters.
model: default
prompt: |
  You write short letters. Write one letter of at most five sentences, in plain words.
  If a reader has named a weakness of your last letter, write it again without that weakness.
settings: {temperature: 0.4, max_tokens: 160}
""",
    "agents/reader.yaml": """\
description: Reads a letter as the one who receives it and says what is unclear.
model: default
prompt: |
  You have just received the letter. Say whether it is clear and kind, and name its weakest sentence.
reply:
  type: object
  properties:
    approved: {type: boolean}
    weakness: {type: string, maxLength: 200}
  required: [approved, weakness]
settings: {temperature: 0, max_tokens: 120}
""",
    "workflows/letter.yaml": """\
description: Write a short letter and improve it once if its reader asks for that.
inputs:
  occasion: {type: string, default: thanking a neighbour for watering the plants, description: What the letter is about}
agents: [writer, reader]
task: Write a letter ${{ inputs.occasion }}.
flow:
  - writer -> reader
  - reader -> writer: {when: "!reader.reply.approved", at_most: 1}
  - reader -> end: else
output: ${{ writer.text }}
budget: {turns: 6, time: 5m}
""",
    ".gitignore": """\
.antiphon/
""",
}


@click.command(epilog=EPILOG)
@click.argument("folder", default=".", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array of the files that were written.")
def command(folder: str, as_json: bool) -> None:
    """Start a project in FOLDER (here by default): two agents and a workflow that validates and runs.

    Nothing that exists is overwritten.
    """
    from antiphon.cli import out
    from antiphon.plain_text import plain_line

    root = Path(folder)
    written = create_project(root)
    if as_json:
        out.json_document([str(path) for path in written])
        return
    for path in written:
        out.line(f"wrote {plain_line(str(path))}")
    step = "" if root.resolve() == Path.cwd() else f"cd {plain_line(str(root))} && "
    out.line(f"\nNext: {step}antiphon run letter")


def create_project(root: Path) -> list[Path]:
    """Writes the files of a new project. Raises `UsageError`, before anything is written, when one of them exists."""
    from antiphon.errors import MachineError, UsageError

    targets = {root / name: text for name, text in FILES.items()}
    try:
        taken = [str(path) for path in targets if path.exists() or path.is_symlink()]
        if taken:
            raise UsageError(f"{', '.join(taken)} exist{'s' if len(taken) == 1 else ''} already",
                             hint="nothing was written; choose another folder")  # fmt: skip
        for path, text in targets.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{error.filename} is a file, not a folder", hint="choose another folder") from error
    except ValueError as error:
        raise UsageError(f"{str(root)!r} is not a folder name", hint="choose another folder") from error
    except OSError as error:
        raise MachineError(
            f"cannot write {error.filename}: {error.strerror}", hint="check the folder's permissions and free space"
        ) from error
    return list(targets)
