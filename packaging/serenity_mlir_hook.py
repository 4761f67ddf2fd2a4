# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Lets IREE's own Python tools find serenity_mlir's launcher under the name ``iree-compile``.

``serenity_mlir.pth`` imports this module when the interpreter starts. All it does then is to put
one finder on ``sys.meta_path``, which waits for ``iree.compiler.tools.binaries`` and wraps that
module's ``find_tool`` once it has been executed: before ``iree.compiler.tools.core`` and the
``iree-compile`` console script take the name from it. No environment variable such as
``IREE_TOOL_PATH`` is set, for it would reach child processes that belong to other environments.

Left as they are:

* everything, if ``SERENITY_DISABLE`` is set to anything but ``0`` (read again at every call);
* an ``iree-compile`` that the user's own ``IREE_TOOL_PATH`` names;
* an IREE that is not the one beside this serenity_mlir (another environment on ``PYTHONPATH``);
* everything, if a part of serenity_mlir is missing.

It must never raise and never be felt: it imports nothing that a starting interpreter has not
loaded, hence also no ``contextlib``.
"""

import os
import sys

_TARGET = "iree.compiler.tools.binaries"
_TOOL = "iree-compile"
_SITE = os.path.dirname(os.path.abspath(__file__))
_LAUNCHER = os.path.join(_SITE, "serenity_mlir", "bin", _TOOL)


def _disabled():
    return os.environ.get("SERENITY_DISABLE", "") not in ("", "0")


def _is_executable(path):
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _launcher_for(stock):
    """Returns the launcher if it would run ``stock`` without serenity flags, else ``stock``."""
    if _disabled() or not _is_executable(_LAUNCHER):
        return stock
    for entry in os.environ.get("IREE_TOOL_PATH", "").split(os.pathsep):
        if entry and _is_executable(os.path.join(entry, _TOOL)):
            return stock
    beside = os.path.join(_SITE, "iree", "compiler", "_mlir_libs", _TOOL)
    if os.path.exists(beside):
        return _LAUNCHER if os.path.samefile(beside, stock) else stock
    # IREE lies in another site directory (a venv with --system-site-packages, pip install
    # --target), where no relative path leads. The launcher looks at this only if it finds no IREE
    # beside itself.
    os.environ["SERENITY_IREE_LIBS"] = os.path.dirname(os.path.realpath(stock))
    return _LAUNCHER


def _wrap(find_tool):
    import functools

    @functools.wraps(find_tool)
    def wrapper(exe_name, *args, **kwargs):
        path = find_tool(exe_name, *args, **kwargs)
        if exe_name != _TOOL:
            return path
        try:
            return _launcher_for(path)
        except Exception:
            return path

    wrapper._serenity_stock = find_tool
    return wrapper


def _patch(module):
    """Wraps ``module.find_tool``, once."""
    find_tool = getattr(module, "find_tool", None)
    if callable(find_tool) and not hasattr(find_tool, "_serenity_stock"):
        module.find_tool = _wrap(find_tool)


class _Finder:
    """Finds ``iree.compiler.tools.binaries`` as others do, and wraps its ``find_tool``."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        if fullname != _TARGET:
            return None
        try:
            for finder in sys.meta_path:
                if finder is _Finder or not hasattr(finder, "find_spec"):
                    continue
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    _wrap_loader(spec.loader)
                    return spec
        except Exception:
            pass
        # The import system goes on to the other finders and reports what is wrong.
        return None


def _wrap_loader(loader):
    # A loader made for this one spec: only the instance is changed. A class used as a loader
    # (frozen and built-in modules) serves other modules too and is left alone.
    if loader is None or isinstance(loader, type) or not hasattr(loader, "exec_module"):
        return
    execute = loader.exec_module

    def exec_module(module):
        execute(module)
        try:
            _patch(module)
        except Exception:
            pass

    loader.exec_module = exec_module


def _install():
    if _disabled() or any(finder is _Finder for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder)
    # Another .pth file may have imported IREE before this one; copies of the name are wrapped as
    # well.
    if _TARGET in sys.modules:
        for name, module in list(sys.modules.items()):
            if name.startswith("iree.compiler.tools"):
                _patch(module)


try:
    _install()
except Exception:
    pass
