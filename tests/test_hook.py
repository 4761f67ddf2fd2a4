# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The import hook: which `iree-compile` IREE's own Python tools find, a process for each case."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import serenity_mlir_hook

SITE = Path(serenity_mlir_hook.__file__).parent

_FIND = """
from iree.compiler.tools import binaries, core
assert core.find_tool is binaries.find_tool
print(binaries.find_tool("iree-compile"))
"""


def python(code: str, *options: str, **environment: str) -> str:
    """Runs `code` in a new interpreter; it must print nothing but its answer."""
    process = subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert (process.returncode, process.stderr) == (0, ""), process.stderr
    return process.stdout.strip()


def in_site(site: Path, code: str, **environment: str) -> str:
    """Runs `code` where `site` is the first site directory, before this environment's packages."""
    prefix = f"""
import site, sys
site.addsitedir({str(site)!r})
sys.path[:] = [{str(site)!r}] + [p for p in sys.path if p != {str(site)!r}] + {sys.path!r}
"""
    return python(prefix + code, "-I", "-S", **environment)


@pytest.fixture
def copied_site(tmp_path: Path, launcher: str) -> Path:
    """A site directory with the files of the hook as installed by pip and the launcher, no IREE."""
    site = tmp_path / "site"
    (site / "serenity_mlir/bin").mkdir(parents=True)
    for name in ("serenity_mlir.pth", "serenity_mlir_hook.py"):
        shutil.copy(SITE / name, site)
    shutil.copy(launcher, site / "serenity_mlir/bin")
    return site


def test_finds_the_launcher(launcher: str, stock_compile: str) -> None:
    assert python(_FIND) == launcher
    assert launcher != stock_compile
    assert python(_FIND, "-I") == launcher
    assert python(_FIND, SERENITY_DISABLE="0") == launcher


def test_switched_off(stock_compile: str) -> None:
    assert python(_FIND, SERENITY_DISABLE="1") == stock_compile
    later = "import os; os.environ['SERENITY_DISABLE'] = '1'" + _FIND
    assert python(later) == stock_compile


def test_without_site_packages_nothing_is_touched(stock_compile: str) -> None:
    code = f"import sys; sys.path[:] = {sys.path!r}" + _FIND
    assert python(code, "-S") == stock_compile


def test_tool_path_of_the_user_wins(tmp_path: Path, launcher: str, stock_compile: str) -> None:
    own = tmp_path / "iree-compile"
    assert python(_FIND, IREE_TOOL_PATH=str(tmp_path)) == launcher
    own.write_text("#!/bin/sh\n")
    assert python(_FIND, IREE_TOOL_PATH=str(tmp_path)) == launcher
    own.chmod(0o755)
    assert python(_FIND, IREE_TOOL_PATH=f"/nowhere:{tmp_path}") == str(own)
    # Even if it names the very folder of the stock compiler.
    libs = os.path.dirname(stock_compile)
    assert python(_FIND, IREE_TOOL_PATH=libs) == os.path.join(libs, "iree-compile")


def test_other_tools_and_errors_are_iree_s_own() -> None:
    code = """
from iree.compiler.tools import binaries
for name in ("iree-opt", "iree-lld"):
    assert binaries.find_tool(name) == binaries.find_tool._serenity_stock(name), name
try:
    binaries.find_tool("no-such-tool")
except ValueError as error:
    print(error)
"""
    assert python(code) == "IREE compiler tool 'no-such-tool' is not a known tool"


def test_the_environment_is_left_alone() -> None:
    code = """
import os
before = dict(os.environ)
from iree.compiler.tools import binaries
binaries.find_tool("iree-compile")
print(dict(os.environ) == before)
"""
    assert python(code) == "True"


def test_the_module_stays_what_it_is() -> None:
    code = """
import importlib, importlib.machinery, inspect
from iree.compiler.tools import binaries
assert isinstance(binaries.__loader__, importlib.machinery.SourceFileLoader)
assert "def find_tool" in inspect.getsource(binaries)
assert "Finds a tool" in binaries.find_tool.__doc__
importlib.reload(binaries)
assert hasattr(binaries.find_tool, "_serenity_stock")
assert not hasattr(binaries.find_tool._serenity_stock, "_serenity_stock")
print("ok")
"""
    assert python(code) == "ok"


def test_start_up_loads_nothing_else() -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(SITE)!r})
before = set(sys.modules)
import serenity_mlir_hook
print(sorted(set(sys.modules) - before))
"""
    assert python(code, "-I", "-S") == "['serenity_mlir_hook']"
    assert python("import sys; print('serenity_mlir' in sys.modules, 'iree' in sys.modules)") == (
        "False False"
    )


def test_modules_imported_before_the_hook(launcher: str) -> None:
    # As if another .pth file had imported IREE first.
    code = f"""
import sys
sys.path[:] = {sys.path!r}
from iree.compiler.tools import binaries, core
import serenity_mlir_hook
print(binaries.find_tool("iree-compile"), core.find_tool("iree-compile"))
"""
    assert python(code, "-S") == f"{launcher} {launcher}"


def test_hook_missing(copied_site: Path) -> None:
    (copied_site / "serenity_mlir_hook.py").unlink()
    process = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import site; site.addsitedir({str(copied_site)!r})"],
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")


def test_broken_hook_does_not_disturb(copied_site: Path) -> None:
    (copied_site / "serenity_mlir_hook.py").write_text("raise RuntimeError('broken')")
    assert in_site(copied_site, "print('fine')") == "fine"


def test_launcher_missing(copied_site: Path, stock_compile: str) -> None:
    shutil.rmtree(copied_site / "serenity_mlir")
    assert in_site(copied_site, _FIND) == stock_compile


def test_iree_in_another_site_directory(copied_site: Path, add_module: Path) -> None:
    # As in a virtual environment with --system-site-packages. The path in the answer is real:
    # running it must reach this environment's stock compiler.
    code = f"""
import os
from iree.compiler.tools import binaries, core
print(binaries.find_tool("iree-compile"))
print(os.environ["SERENITY_IREE_LIBS"])
print(len(core.compile_file({str(add_module)!r}, target_backends=["vmvx"])) > 1000)
"""
    found, libs, compiled = in_site(copied_site, code).splitlines()
    assert found == str(copied_site / "serenity_mlir/bin/iree-compile")
    assert os.path.isfile(os.path.join(libs, "libIREECompiler.so"))
    assert compiled == "True"


def test_another_iree_is_left_alone(copied_site: Path, tmp_path: Path) -> None:
    # An IREE beside us, and another one first on the path: that one is not ours to replace.
    beside = copied_site / "iree/compiler/_mlir_libs"
    beside.mkdir(parents=True)
    other = tmp_path / "other"
    tools = other / "iree/compiler/tools"
    tools.mkdir(parents=True)
    for package in (other / "iree/compiler", tools):
        (package / "__init__.py").touch()
    (tools / "binaries.py").write_text(
        f"def find_tool(name):\n    return {str(other)!r} + '/' + name\n"
    )
    for path in (beside / "iree-compile", other / "iree-compile"):
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    code = f"""
import sys
sys.path.insert(0, {str(other)!r})
from iree.compiler.tools import binaries
assert hasattr(binaries.find_tool, "_serenity_stock")
print(binaries.find_tool("iree-compile"))
"""
    assert in_site(copied_site, code) == str(other / "iree-compile")


def test_a_module_that_fails_fails_as_before(copied_site: Path, tmp_path: Path) -> None:
    tools = tmp_path / "broken/iree/compiler/tools"
    tools.mkdir(parents=True)
    for package in (tools.parent, tools):
        (package / "__init__.py").touch()
    (tools / "binaries.py").write_text("import no_such_module_of_ours\n")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "broken")!r})
try:
    import iree.compiler.tools.binaries
except ModuleNotFoundError as error:
    print(error.name, "iree.compiler.tools.binaries" in sys.modules)
"""
    assert in_site(copied_site, code) == "no_such_module_of_ours False"


def test_console_script(launcher: str, tmp_path: Path) -> None:
    script = shutil.which("iree-compile", path=os.path.dirname(sys.executable))
    assert script is not None
    # Stock would call the flag an unknown argument.
    process = subprocess.run(
        [script, "--serenity-no-such-flag", "-"], capture_output=True, text=True, input=""
    )
    assert process.returncode == 2
    assert "serenity-schedule" in process.stderr
