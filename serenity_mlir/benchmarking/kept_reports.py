# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The compiler's reports of a session: what one step has compiled, no other compiles again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serenity_mlir._files import write_whole
from serenity_mlir.compiling.compiler import SerenityOptions
from serenity_mlir.running import content_digest

__all__ = ["KeptReports"]


@dataclass(frozen=True)
class KeptReports:
    """Reports in a folder, by the content of the model, the options and the build of the compiler.

    A report of another build, or of a model that has changed since, is never found.

    Attributes:
      folder: where they lie; made when the first is kept.
      compiler: digest of the compiler.
    """

    folder: str
    compiler: str

    def keep(self, model: Path, options: SerenityOptions, report: Mapping[str, Any]) -> None:
        """Keeps the report on a model compiled with these options."""
        path = self._path(model, options)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(report))  # another session may be reading

    def find(self, model: Path, options: SerenityOptions) -> dict[str, Any] | None:
        """Returns the report on a model compiled with these options, None if none was kept."""
        try:
            found: dict[str, Any] = json.loads(self._path(model, options).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return found

    def _path(self, model: Path, options: SerenityOptions) -> Path:
        key = "\n".join([content_digest(str(model)), repr(options), self.compiler])
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        return Path(self.folder) / f"{model.stem}-{digest}.json"
