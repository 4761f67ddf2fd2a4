# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How the package writes the files that users ask for: complete or not at all."""

from __future__ import annotations

import os
import stat
import tempfile

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Writes a file such that no reader, and no failure, ever leaves half of it.

    Args:
      path: The file; the target of a symbolic link is replaced, not the link. A device or a pipe
        is written to.
      data: Its content; text becomes UTF-8.

    Raises:
      OSError: It cannot be written; ``filename`` is `path`, and the old content is kept.
    """
    content = data.encode() if isinstance(data, str) else data
    target = os.path.realpath(path)
    try:
        if os.path.exists(target) and not stat.S_ISREG(os.stat(target).st_mode):
            with open(target, "wb") as stream:
                stream.write(content)
            return
        _replace(target, content)
    except OSError as error:
        # Not the name of a temporary file, of which the caller knows nothing.
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from None


def _replace(target: str, content: bytes) -> None:
    folder, name = os.path.split(target)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name[:64]}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        if os.path.exists(target):
            mode = stat.S_IMODE(os.stat(target).st_mode)
        else:
            mask = os.umask(0)
            os.umask(mask)
            mode = 0o666 & ~mask
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
