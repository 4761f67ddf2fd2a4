# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Documents of headings, paragraphs, tables and pictures, as Markdown and as one HTML page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Heading",
    "Picture",
    "Table",
    "Text",
    "bytes_cell",
    "least_cell",
    "ratio_cell",
    "to_html",
    "to_markdown",
]


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph. Code is between backquotes, strong text between double asterisks."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table. All columns but the first `left` ones are aligned to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1


@dataclass(frozen=True)
class Picture:
    """A picture, ``NAME.svg`` in the report's folder of pictures."""

    name: str
    caption: str


Part = Heading | Text | Table | Picture


def bytes_cell(value: int | None) -> str:
    """Returns a size in bytes as tables show it; a dash where it is not known."""
    return "-" if value is None else f"{value:,}"


def least_cell(value: int | None, least: int | None) -> str:
    """Returns a size in bytes, in bold where it is the least of its row."""
    cell = bytes_cell(value)
    return f"**{cell}**" if value is not None and value == least else cell


def ratio_cell(value: float | None) -> str:
    """Returns a ratio as tables show it; a dash where it is not known."""
    return "-" if value is None else f"{value:.2f}"


#: Folder of the pictures, beside the Markdown file.
PICTURES = "results"


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _markdown(part: Part) -> Iterator[str]:
    if isinstance(part, Heading):
        yield f"{'#' * part.level} {part.text}"
    elif isinstance(part, Text):
        yield part.text
    elif isinstance(part, Picture):
        yield f"![{part.caption}]({PICTURES}/{part.name}.svg)"
    else:
        rule = ["---" if index < part.left else "---:" for index in range(len(part.columns))]
        lines = [part.columns, rule, *part.rows]
        yield "\n".join(f"| {' | '.join(map(_escape_cell, line))} |" for line in lines)


def to_markdown(parts: Sequence[Part]) -> str:
    """Returns the report as Markdown text."""
    return "\n\n".join(text for part in parts for text in _markdown(part)) + "\n"


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 78em; margin: 2em auto; padding: 0 1em;
  color: #1c2226; background: #fff; }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px; display: block;
  overflow-x: auto; }
th, td { padding: .25em .7em; border-bottom: 1px solid #d7dde2; text-align: right;
  font-variant-numeric: tabular-nums; }
th { border-bottom: 2px solid #8a97a3; white-space: nowrap; }
.l { text-align: left; }
figure { margin: 1.5em 0; } figure svg { max-width: 100%; height: auto; }
figcaption { font-size: 13px; color: #4d5a65; }
code { background: #f0f3f5; padding: 0 .25em; }
@media (prefers-color-scheme: dark) {
  body { color: #dfe5ea; background: #15191c; } code { background: #262d33; }
  th, td { border-color: #3a444d; } figure svg { background: #fff; } figcaption { color: #a7b3bd; }
}
"""


def _inline(text: str) -> str:
    escaped = html.escape(text, quote=False)
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    escaped = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", escaped)
    return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="\2">\1</a>', escaped)


def _html(part: Part, pictures: Path) -> str:
    if isinstance(part, Heading):
        return f"<h{part.level}>{_inline(part.text)}</h{part.level}>"
    if isinstance(part, Text):
        return f"<p>{_inline(part.text)}</p>"
    if isinstance(part, Picture):
        svg = (pictures / f"{part.name}.svg").read_text("utf-8")
        # Identifiers are the document's here: those of two pictures must differ.
        prefix = f"{part.name}-"
        svg = re.sub(r'\bid="', f'id="{prefix}', svg[svg.index("<svg") :])
        svg = re.sub(r'(xlink:href="|href="|url\()#', rf"\g<1>#{prefix}", svg)
        return f"<figure>{svg}<figcaption>{_inline(part.caption)}</figcaption></figure>"

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=l' if index < part.left else ''}>{_inline(cell)}</{tag}>"
            for index, cell in enumerate(cells)
        )

    body = "\n".join(f"<tr>{line(row, 'td')}</tr>" for row in part.rows)
    head = line(part.columns, "th")
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def to_html(parts: Sequence[Part], pictures: Path) -> str:
    """Returns the report as one page that loads nothing; SVG files are read from `pictures`."""
    title = next((part.text for part in parts if isinstance(part, Heading)), "")
    body = "\n".join(_html(part, pictures) for part in parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )
