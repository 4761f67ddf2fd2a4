# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity networks``: the networks of the paper's evaluation."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from serenity_mlir import networks

app = typer.Typer(
    help="List and build the networks of the paper's evaluation.", add_completion=False
)


def _shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    counts: dict[str, int] = {}
    for shape in shapes.values():
        text = "x".join(map(str, shape))
        counts[text] = counts.get(text, 0) + 1
    return ", ".join(text if n == 1 else f"{n} of {text}" for text, n in counts.items())


@app.command("list")
def list_networks(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the networks with their shapes and sizes."""
    infos = [networks.info(name) for name in networks.names()]
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(info) for info in infos], indent=2))
        return

    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("network", "inputs", "outputs"):
        table.add_column(heading, no_wrap=True)
    for heading in ("ops", "weights", "MACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for info in infos:
        table.add_row(
            info.name,
            _shapes(info.inputs),
            _shapes(info.outputs),
            str(info.operations),
            f"{info.parameters:,}",
            f"{info.multiply_accumulates:,}",
        )
    Console().print(table)


@app.command("build")
def build_network(
    name: Annotated[str, typer.Argument(help="A name from `serenity networks list`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The ONNX file to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights.")] = 0,
) -> None:
    """Write a network as an ONNX file with weights drawn from a seed."""
    if name not in networks.names():
        raise typer.BadParameter(
            f"no network {name!r}; known are: {', '.join(networks.names())}", param_hint="NAME"
        )
    if not output.parent.is_dir():
        raise typer.BadParameter(f"no such folder: {output.parent}", param_hint="--output")
    data = networks.build(name, seed).SerializeToString(deterministic=True)
    # Complete or not at all: a reader never finds half a file.
    handle, temporary = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, output)
    except BaseException:
        os.unlink(temporary)
        raise
    typer.echo(f"{output}: {len(data):,} bytes")
