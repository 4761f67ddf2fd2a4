# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the declarations of Options.def, Passes.def and Rewrite*.def into the source tree.

That is ``serenity_mlir/compiling/options.py`` and the tables between ``<!-- begin NAME -->`` and
``<!-- end NAME -->`` in ``docs/``. Run it after a change of those files, with the interpreter of an
environment that has the rebuilt package installed; ``tests/test_declarations.py`` fails until then.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from serenity_mlir import _core

REPOSITORY = Path(__file__).resolve().parent.parent

#: Pages with a table, by the name of the table.
PAGES = {
    "passes": "docs/passes.md",
    "pass options": "docs/serenity_opt.md",
    "rewrite kinds": "docs/rewriting.md",
    "rewrite refusals": "docs/rewriting.md",
}

#: The type of a field and its default, by the kind of the option.
_FIELDS = {
    "choice": ("str | None", "None"),
    "seconds": ("float | None", "None"),
    "share": ("float | None", "None"),
    "count": ("int | None", "None"),
    "bytes": ("int | str | None", "None"),
    "file": ("str | os.PathLike[str] | None", "None"),
    "folder": ("bool | str | os.PathLike[str] | None", "None"),
    "counts": ("Sequence[int]", "()"),
    "passes": ("Sequence[str]", "()"),
    "extents": ("Sequence[str]", "()"),
}

_OPTIONS = '''\
# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Made by cmake/write_declarations.py from Options.def; do not edit.
"""The flags of the compiler as a dataclass."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from serenity_mlir.compiling.declared import check_fields, flags_of


@dataclass(frozen=True)
class SerenityOptions:
    """The options of serenity_mlir in a compilation. Each field is one ``--serenity-*`` flag.

    A field that is None gives no flag, and the compiler's default (in parentheses) holds.

    Attributes:
{attributes}

    Raises:
      ValueError: From the constructor, if a value cannot be one of its flag's.
    """

{fields}

    def __post_init__(self) -> None:
        check_fields(self)

    def flags(self) -> list[str]:
        """Returns the options as flags of ``serenity-compile``, in the order of the fields."""
        return flags_of(self)
'''


def options_module() -> str:
    """Returns the source of ``serenity_mlir.compiling.options``."""
    attributes = []
    fields = []
    for option in _core.option_declarations():
        if not option.is_driver_flag:
            continue
        name = option.name.replace("-", "_")
        default = f" ({option.initial or 'none'})."
        text = f"{name}: ``--serenity-{option.name}={option.value}``. {option.help[:-1]}{default}"
        attributes.append(
            textwrap.fill(
                text,
                100,
                initial_indent=" " * 6,
                subsequent_indent=" " * 8,
                break_on_hyphens=False,
            )
        )
        kind, initial = _FIELDS.get(option.kind, ("bool", str(option.initial == "on")))
        fields.append(f"    {name}: {kind} = {initial}")
    return _OPTIONS.format(attributes="\n".join(attributes), fields="\n".join(fields))


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def pass_table() -> str:
    """Returns the passes: name, effect, level and place in IREE's pipeline."""
    rows = []
    for declared in _core.pass_declarations():
        page = declared.name.removeprefix("serenity-").replace("-", "_")
        link = f"[`{declared.name}`](passes/{page}.md)"
        rows.append([link, declared.summary, declared.level, declared.place])
    return _table(["pass", "effect", "level", "place in IREE's pipeline"], rows)


def option_table() -> str:
    """Returns the options of the passes: in braces, as a flag of serenity-opt, and of which."""
    passes = _core.pass_declarations()
    names = {declared.name for declared in passes}
    rows = []
    for option in _core.option_declarations():
        if not option.is_pass_option:
            continue
        value = option.value.replace("|", "\\|")
        flag = f"serenity-{option.name}"
        rows.append(
            [
                f"`{option.name}={value}`",
                "none" if flag in names else f"`--{flag}`",
                option.initial,
                ", ".join(f"`{p.name}`" for p in passes if option.name in p.options),
            ]
        )
    return _table(["in braces", "flag", "default", "of"], rows)


def rewrite_kind_table() -> str:
    """Returns the rewrite kinds: name, effect and limits."""
    rows = [
        [f"[`{kind.name}`](#{kind.anchor})", kind.summary, kind.limits]
        for kind in _core.rewrite_kind_declarations()
    ]
    return _table(["kind", "effect", "limits"], rows)


def rewrite_refusal_table() -> str:
    """Returns the reasons why an operation over a concatenation has no site."""
    return _table(["remark"], [[text] for text in _core.rewrite_refusals()])


TABLES = {
    "passes": pass_table,
    "pass options": option_table,
    "rewrite kinds": rewrite_kind_table,
    "rewrite refusals": rewrite_refusal_table,
}


def with_table(page: str, name: str) -> str:
    """Returns the text of a page with its table replaced by the current one."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text, count = pattern.subn(lambda _: f"{begin}\n\n{TABLES[name]()}\n\n{end}", page)
    if count != 1:
        raise ValueError(f"expected one '{begin}' ... '{end}', found {count}")
    return text


def files() -> dict[Path, str]:
    """Returns every file that is made of the declarations, and what it shall hold."""
    made = {REPOSITORY / "serenity_mlir/compiling/options.py": options_module()}
    for name, page in PAGES.items():
        path = REPOSITORY / page
        made[path] = with_table(made.get(path) or path.read_text(encoding="utf-8"), name)
    return made


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
