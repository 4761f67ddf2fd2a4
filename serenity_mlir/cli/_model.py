# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The argument ``MODEL`` and the option ``--fix-dim`` of the commands that import models."""

from __future__ import annotations

import re
from typing import Annotated

import typer

__all__ = ["FixDimOption", "ModelArgument", "check_model_comes_first", "parse_fixed"]

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A file (.mlir, .mlirbc, .onnx, .pt2) or a name from `serenity networks list`.",
    ),
]

FixDimOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fix-dim",
        metavar="NAME=N",
        help="Extent of a dynamic dimension of the inputs (repeatable): NAME is its name in ONNX, "
        "INPUT:AXIS, or argI:axisJ.",
    ),
]


def parse_fixed(texts: list[str] | None) -> dict[str, int]:
    """Return the extents by name.

    Raises:
      typer.BadParameter: one is not ``NAME=N`` with a positive integer, or a name comes twice.
    """
    fixed: dict[str, int] = {}
    for text in texts or ():
        match = re.fullmatch(r"(?P<name>.+)=(?P<extent>0*[1-9]\d*)", text)
        if match is None:
            raise typer.BadParameter(
                f"{text!r} is not NAME=N with a positive number, such as batch=1 or arg0:axis0=1",
                param_hint="--fix-dim",
            )
        if match["name"] in fixed:
            raise typer.BadParameter(f"{match['name']} is given twice", param_hint="--fix-dim")
        fixed[match["name"]] = int(match["extent"])
    return fixed


def check_model_comes_first(model: str) -> None:
    """Check that the argument ``MODEL`` of a command that takes unknown options is not one.

    Raises:
      typer.BadParameter: it begins with a dash.
    """
    if model.startswith("-"):
        raise typer.BadParameter(
            f"the model comes before the compiler's flags, not {model}", param_hint="MODEL"
        )
