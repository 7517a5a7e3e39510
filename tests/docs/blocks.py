"""The fenced blocks of the README and of the documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"^ *```(?P<info>[^\n`]*)\n(?P<text>.*?)^ *```$", re.M | re.S)


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block: `language` and `title` from its info string, and where it starts."""

    document: str
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def code_blocks(path: Path, root: Path = ROOT) -> list[CodeBlock]:
    """The blocks of a document, in order."""
    content = path.read_text(encoding="utf-8")
    return [
        _block(path.relative_to(root).as_posix(), content, match)
        for match in FENCE.finditer(content)
    ]


def _block(document: str, content: str, match: re.Match[str]) -> CodeBlock:
    language, _, attributes = match["info"].strip().partition(" ")
    title = re.search(r'title="([^"]*)"', attributes)
    line = content.count("\n", 0, match.start()) + 1
    return CodeBlock(document, line, language, title[1] if title else "", match["text"])
