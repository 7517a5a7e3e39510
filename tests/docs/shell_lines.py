"""Checks that shell commands exist, with their options, configs and modules."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import typer

from sweep.__main__ import AllCommands
from sweep.cli import load_command
from sweep.run import app as run_app
from tests import ROOT

COMMAND_LINE_TOOLS = {"mkdocs": {"build", "serve"}, "pre-commit": {"install"}}
"""Tools with the subcommands that the documentation uses."""


def shell_commands(text: str) -> list[list[str]]:
    """The commands of a block as lists of words, without comments, assignments and `&&`."""
    commands: list[list[str]] = []
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        pieces = " ".join("\n" if word == "&&" else shlex.quote(word) for word in words).split("\n")
        commands += [shlex.split(piece) for piece in pieces if piece.strip()]
    return [_without_assignments(command) for command in commands]


def _without_assignments(words: list[str]) -> list[str]:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words


def command_error(words: list[str]) -> str:
    """What is wrong with a command, "" where nothing is."""
    program, *arguments = words
    if program == "python" and arguments[:1] == ["-m"]:
        return _module_error(arguments[1], arguments[2:])
    if program == "sweep":
        return _subcommand_error(arguments)
    if program == "pip":
        return _pip_error(arguments)
    if program in COMMAND_LINE_TOOLS:
        return (
            ""
            if arguments[0] in COMMAND_LINE_TOOLS[program]
            else f"{program} has no {arguments[0]}"
        )
    if program == ".":
        return "" if arguments == [".venv/bin/activate"] else f"unknown script {arguments}"
    if program == "pytest":
        return ""
    return "" if (ROOT / program).is_file() else f"unknown program {program}"


def _module_error(module: str, arguments: list[str]) -> str:
    if module == "sweep.run":
        return _options_error(typer.main.get_command(run_app), arguments)
    if module in ("sweep", "analysis"):
        return _subcommand_error(arguments)
    exists = module == "venv" or importlib.util.find_spec(module) is not None
    return "" if exists else f"there is no module {module}"


def subcommands() -> dict[str, Any]:
    """The commands of `sweep`, with those of `python -m analysis`, which it shares."""
    sources = AllCommands.sources.items()
    return {name: load_command(name, source) for name, source in sources}


def _subcommand_error(arguments: list[str]) -> str:
    name, *rest = arguments
    known = subcommands()
    return _options_error(known[name], rest) if name in known else f"sweep has no command {name}"


def _options_error(command: Any, arguments: list[str]) -> str:
    known = {option for parameter in command.params for option in parameter.opts}
    unknown = [word for word in arguments if word.startswith("--") and word not in known]
    if unknown:
        return f"{command.name} has no {', '.join(unknown)}"
    folders = [word for word in arguments if re.fullmatch(r"results/[\w-]+", word)]
    names = {path.stem for path in (ROOT / "configs").glob("*.yaml")} | {
        "margins",
        "quickstart-refined",
    }
    missing = [word for word in folders if Path(word).name not in names]
    missing += [
        word for word in arguments if word.startswith("configs/") and not (ROOT / word).is_file()
    ]
    return f"there is no config of {', '.join(missing)}" if missing else ""


def _pip_error(arguments: list[str]) -> str:
    """Extras are declared in pyproject.toml, and the file of constraints exists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = re.findall(r"\.\[(\w+)\]", " ".join(arguments))
    unknown = [extra for extra in extras if extra not in project["optional-dependencies"]]
    constraints = "-c" not in arguments or (ROOT / arguments[arguments.index("-c") + 1]).is_file()
    return (
        f"there is no extra {unknown}"
        if unknown
        else ""
        if constraints
        else "the constraints are missing"
    )
