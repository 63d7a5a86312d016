"""A report as headings, sentences, tables and figures; written as one HTML page without outside parts, or Markdown."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gearing.storage.atomic import write_text

_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text; ``strong`` is the result that a reader looks for."""

    text: str
    strong: bool = False
    kind = "paragraph"

    def as_markdown(self) -> str:
        """The text, bold where it is strong."""
        return f"**{self.text}**" if self.strong else self.text


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: Sequence[str]
    kind = "bullets"

    def as_markdown(self) -> str:
        """One line for each item."""
        return "\n".join(f"* {item}" for item in self.items)


@dataclass(frozen=True)
class Facts:
    """Names with values."""

    values: Mapping[str, Any]
    kind = "facts"

    def as_markdown(self) -> str:
        """One line for each name."""
        return "\n".join(f"* {name}: {value}" for name, value in self.values.items())


@dataclass(frozen=True, eq=False)
class Table:
    """A table of texts and numbers; its index is the first columns, its caption stands above it."""

    frame: pd.DataFrame
    caption: str = ""
    kind = "table"

    @property
    def head(self) -> list[str]:
        """Names of the columns, the index first."""
        names = [str(name) if name is not None else "" for name in self.frame.index.names]
        return [*names, *map(str, self.frame.columns)]

    @property
    def rows(self) -> list[list[str]]:
        """Cells as text."""
        index = self.frame.index.to_frame(index=False)
        cells = pd.concat([index, self.frame.reset_index(drop=True)], axis=1).to_numpy().tolist()
        return [[_text(cell) for cell in row] for row in cells]

    @property
    def left(self) -> int:
        """How many columns are names."""
        return self.frame.index.nlevels

    def as_markdown(self) -> str:
        """A table with pipes; those inside cells are escaped."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in lines]
        table = "\n".join(f"| {' | '.join(row)} |" for row in escaped)
        return f"{self.caption}\n\n{table}" if self.caption else table


@dataclass(frozen=True, eq=False)
class Picture:
    """A PNG; ``path`` is where Markdown finds it, from its own folder."""

    content: bytes
    alt: str
    path: str = ""
    caption: str = ""
    kind = "picture"

    @property
    def data(self) -> str:
        """The PNG as an address that holds it."""
        return "data:image/png;base64," + b64encode(self.content).decode("ascii")

    def as_markdown(self) -> str:
        """A link to the file; nothing where there is none."""
        image = f"![{self.alt}]({self.path})" if self.path else ""
        return "\n\n".join(text for text in (image, self.caption) if text)


@dataclass(frozen=True)
class Code:
    """Text as it is written in a file or a terminal; a long one is folded under its title."""

    text: str
    title: str = ""
    kind = "code"

    def as_markdown(self) -> str:
        """Indented lines."""
        block = "\n".join(f"    {line}" for line in self.text.rstrip("\n").split("\n"))
        return f"{self.title}:\n\n{block}" if self.title else block


Block = Paragraph | Bullets | Facts | Table | Picture | Code


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes
    ----------
    title : str
    opening : sequence of blocks
        Before the first heading: the question and its result.
    sections : sequence of Section
        Those without blocks are left out.
    """

    title: str
    opening: Sequence[Block] = ()
    sections: Sequence[Section] = field(default_factory=tuple)

    def as_html(self) -> str:
        """One page that loads nothing from elsewhere; every text is escaped."""
        from jinja2 import Environment, PackageLoader

        environment = Environment(
            autoescape=True, loader=PackageLoader(__package__, "."), trim_blocks=True, lstrip_blocks=True
        )
        environment.filters["coded"] = _coded
        template = environment.get_template("document.html")
        return template.render(document=self, sections=self._shown)

    def as_markdown(self) -> str:
        """The same as Markdown; figures are links to their files."""
        parts = [f"# {self.title}", *(block.as_markdown() for block in self.opening)]
        for section in self._shown:
            parts += [f"## {section.heading}", *(block.as_markdown() for block in section.blocks)]
        return "\n\n".join(part for part in parts if part) + "\n"

    @property
    def _shown(self) -> list[Section]:
        return [section for section in self.sections if section.blocks]

    def write_html(self, path: str | Path) -> Path:
        """Write the page; returns its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, self.as_html())
        return path


def _coded(text: str) -> Any:
    """A text in which what stands between backticks is code."""
    from markupsafe import Markup, escape

    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return "-" if cell != cell else f"{cell:.4g}"
    return "-" if cell is None or cell is pd.NA or cell is pd.NaT else str(cell)
