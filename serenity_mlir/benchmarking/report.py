# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the results of a session as Markdown with pictures beside it, as a page, and as data."""

from __future__ import annotations

import json
from pathlib import Path

from serenity_mlir._files import write_whole
from serenity_mlir.benchmarking import content, pictures
from serenity_mlir.benchmarking.document import PICTURES, to_html, to_markdown
from serenity_mlir.benchmarking.results import Results
from serenity_mlir.errors import SerenityError

__all__ = ["write"]


def write(results: Results, output: Path) -> list[Path]:
    """Writes ``results.json``, ``results.md``, ``results.html`` and the pictures.

    Args:
      results: the measurements.
      output: the folder of the session, where ``reports/`` of the networks are.

    Returns:
      The three files.

    Raises:
      SerenityError: something cannot be written (exit code 2).
    """
    folder = output / PICTURES
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drawn = pictures.draw_all(results, output / "reports", folder)
        parts = content.compose(results, output / "reports", drawn)
        texts = {
            "results.json": json.dumps(results.to_dict(), indent=1) + "\n",
            "results.md": to_markdown(parts),
            "results.html": to_html(parts, folder),
        }
        for name, text in texts.items():
            write_whole(output / name, text)
    except OSError as error:
        raise SerenityError(f"{error.filename}: {error.strerror}", exit_code=2) from None
    return [output / name for name in texts]
