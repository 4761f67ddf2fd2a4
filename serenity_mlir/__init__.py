# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Minimum-peak-memory scheduling, rewriting and buffer offsets for MLIR/IREE.

The names below are imported when they are first used: ``import serenity_mlir`` alone checks that
the installed IREE is a supported one, and loads neither IREE nor numpy.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from serenity_mlir._versions import check_environment, serenity_version

if TYPE_CHECKING:
    from serenity_mlir.compiling.compiler import SerenityOptions, compile, compile_file, compile_str
    from serenity_mlir.compiling.peak_memory import Peak, peak
    from serenity_mlir.core.offsets import OffsetsError, Packing, pack
    from serenity_mlir.core.scheduling import (
        Buffer,
        Operation,
        Problem,
        ProblemError,
        Progress,
        Schedule,
        Simulation,
        schedule,
        simulate,
    )
    from serenity_mlir.errors import Diagnostic, SerenityError, UnsupportedEnvironmentError
    from serenity_mlir.measuring.checking import CheckResult, check
    from serenity_mlir.measuring.measurement import Measurement, measure
    from serenity_mlir.reports.reporting import Report, load_report
    from serenity_mlir.running import Record, find_models, run_many

__all__ = [
    "Buffer",
    "CheckResult",
    "Diagnostic",
    "Measurement",
    "OffsetsError",
    "Operation",
    "Packing",
    "Peak",
    "Problem",
    "ProblemError",
    "Progress",
    "Record",
    "Report",
    "Schedule",
    "SerenityError",
    "SerenityOptions",
    "Simulation",
    "UnsupportedEnvironmentError",
    "__version__",
    "check",
    "compile",
    "compile_file",
    "compile_str",
    "find_models",
    "load_report",
    "measure",
    "pack",
    "peak",
    "run_many",
    "schedule",
    "simulate",
]

check_environment()

# Python started in the root of a source tree finds the sources there before the installed package.
# Built files are in the latter only.
if not any(os.path.isdir(os.path.join(entry, "bin")) for entry in __path__):
    from pkgutil import extend_path

    __path__ = extend_path(__path__, __name__)

__version__ = serenity_version()

# Where each public name is defined.
_MODULES = {
    "Buffer": "serenity_mlir.core.scheduling",
    "CheckResult": "serenity_mlir.measuring.checking",
    "Diagnostic": "serenity_mlir.errors",
    "Measurement": "serenity_mlir.measuring.measurement",
    "OffsetsError": "serenity_mlir.core.offsets",
    "Operation": "serenity_mlir.core.scheduling",
    "Packing": "serenity_mlir.core.offsets",
    "Peak": "serenity_mlir.compiling.peak_memory",
    "Problem": "serenity_mlir.core.scheduling",
    "ProblemError": "serenity_mlir.core.scheduling",
    "Progress": "serenity_mlir.core.scheduling",
    "Record": "serenity_mlir.running",
    "Report": "serenity_mlir.reports.reporting",
    "Schedule": "serenity_mlir.core.scheduling",
    "SerenityError": "serenity_mlir.errors",
    "SerenityOptions": "serenity_mlir.compiling.compiler",
    "Simulation": "serenity_mlir.core.scheduling",
    "UnsupportedEnvironmentError": "serenity_mlir.errors",
    "check": "serenity_mlir.measuring.checking",
    "compile": "serenity_mlir.compiling.compiler",
    "compile_file": "serenity_mlir.compiling.compiler",
    "compile_str": "serenity_mlir.compiling.compiler",
    "find_models": "serenity_mlir.running",
    "load_report": "serenity_mlir.reports.reporting",
    "measure": "serenity_mlir.measuring.measurement",
    "pack": "serenity_mlir.core.offsets",
    "peak": "serenity_mlir.compiling.peak_memory",
    "run_many": "serenity_mlir.running",
    "schedule": "serenity_mlir.core.scheduling",
    "simulate": "serenity_mlir.core.scheduling",
}


# Type checkers know the names from the imports above, and shall find misspelt ones.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module 'serenity_mlir' has no attribute {name!r}")
        import importlib

        value = getattr(importlib.import_module(module), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
