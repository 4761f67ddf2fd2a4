# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The output of the commands on standard error: log messages, and progress on a terminal.

The package reports through the standard module `logging`: its steps at INFO, the commands it
runs at DEBUG. ``serenity --verbose`` prints that; without it, a terminal shows the step under way
once a second has passed, and anything else shows nothing.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

__all__ = ["configure_logging", "working"]

_ROOT = logging.getLogger("serenity_mlir")

#: Seconds after which a step is worth showing.
_PATIENCE = 1.0


class _StandardError(logging.Handler):
    """Prints to the standard error of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(f"{record.levelname.lower()}: {self.format(record)}", err=True)


def configure_logging(verbose: bool) -> None:
    """Print warnings of the package; with `verbose` all that it and the libraries log."""
    for handler in list(_ROOT.handlers):
        if isinstance(handler, _StandardError):
            _ROOT.removeHandler(handler)
    handler = _StandardError()
    handler.setLevel(logging.DEBUG if verbose else logging.WARNING)
    _ROOT.addHandler(handler)
    _ROOT.setLevel(logging.DEBUG if verbose else logging.WARNING)
    # Libraries warn their users with `warnings`. Those are not the users of this program.
    logging.captureWarnings(True)
    warned = logging.getLogger("py.warnings")
    warned.handlers = [handler if verbose else logging.NullHandler()]
    warned.propagate = False


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show progress on a terminal: `text`, then the log messages of the package.

    Nothing may be printed meanwhile.
    """
    if not sys.stderr.isatty() or _ROOT.isEnabledFor(logging.INFO):
        yield
        return
    from rich.console import Console
    from rich.markup import escape

    status = Console(stderr=True).status(escape(text))

    class Show(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            status.update(escape(record.getMessage()))

    show = Show(logging.INFO)
    level = _ROOT.level
    _ROOT.addHandler(show)
    _ROOT.setLevel(logging.INFO)
    timer = threading.Timer(_PATIENCE, status.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()
        _ROOT.setLevel(level)
        _ROOT.removeHandler(show)
