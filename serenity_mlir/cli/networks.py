# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity networks``: networks to compile and compare."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from serenity_mlir import networks
from serenity_mlir._files import write_whole
from serenity_mlir.errors import SerenityError

app = typer.Typer(
    help="List and build networks: those of the paper's evaluation and others.",
    add_completion=False,
)


class _Storage(str, Enum):
    """The choices of ``--quantize``."""

    int8 = "int8"
    uint8 = "uint8"


def _shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    counts: dict[str, int] = {}
    for shape in shapes.values():
        text = "x".join(map(str, shape))
        counts[text] = counts.get(text, 0) + 1
    return ", ".join(text if n == 1 else f"{n} of {text}" for text, n in counts.items())


@app.command("list", epilog="Example: serenity networks list --set paper")
def list_networks(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help=f"Only {', '.join(networks.SETS)} (repeatable)."),
    ] = None,
) -> None:
    """List the networks with their shapes and sizes.

    Those of the set "held-out" were chosen before the compiler was run on any of them.
    """
    chosen = [name for name in networks.SETS if name in (sets or networks.SETS)]
    if unknown := set(sets or ()) - set(networks.SETS):
        raise typer.BadParameter(
            f"no set {min(unknown)!r}; known are: {', '.join(networks.SETS)}", param_hint="--set"
        )
    infos = [networks.info(name) for name in networks.names(*chosen)]
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(info) for info in infos], indent=2))
        return

    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("network", no_wrap=True)
    table.add_column("set", no_wrap=True)
    table.add_column("inputs")
    for heading in ("ops", "weights", "MACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for info in infos:
        table.add_row(
            info.name,
            info.set,
            _shapes(info.inputs),
            str(info.operations),
            f"{info.parameters:,}",
            f"{info.multiply_accumulates:,}",
        )
    Console().print(table)


@app.command("build", epilog="Example: serenity networks build swiftnet_a -o swiftnet_a.onnx")
def build_network(
    name: Annotated[str, typer.Argument(help="A name from `serenity networks list`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The ONNX file to write.")],
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the weights and of the calibration.")
    ] = 0,
    storage: Annotated[
        _Storage | None,
        typer.Option(
            "--quantize", help="Quantize (QDQ) with activations of this type; needs [quantize]."
        ),
    ] = None,
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="Quantize weights with a scale per channel.")
    ] = False,
    integer_io: Annotated[
        bool,
        typer.Option("--integer-io", help="Take and give the quantized inputs and outputs."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a network as an ONNX file with weights drawn from a seed."""
    if name not in networks.names():
        raise typer.BadParameter(
            f"no network {name!r}; known are: {', '.join(networks.names())}", param_hint="NAME"
        )
    if output.suffix in (".mlir", ".mlirbc", ".pt2"):
        raise typer.BadParameter(
            f"{output} would be an ONNX file; end its name in .onnx", param_hint="--output"
        )
    if not output.parent.is_dir():
        raise typer.BadParameter(f"no such folder: {output.parent}", param_hint="--output")
    for given, option in ((per_channel, "--per-channel"), (integer_io, "--integer-io")):
        if given and storage is None:
            raise typer.BadParameter("needs --quantize", param_hint=option)
    model = networks.build(name, seed)
    if storage is not None:
        from serenity_mlir.networks.quantizing import quantize

        model = quantize(
            model,
            storage.value,
            per_channel=per_channel,
            seed=seed,
            integer_border=integer_io,
        )
    data = model.SerializeToString(deterministic=True)
    try:
        write_whole(output, data)
    except OSError as error:
        raise SerenityError(f"{output}: {error.strerror}", exit_code=2) from None
    if as_json:
        typer.echo(json.dumps({"output": str(output), "bytes": len(data), "seed": seed}))
    else:
        typer.echo(f"{output}: {len(data):,} bytes")
