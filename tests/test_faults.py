# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Faults outside the compiler: disks, limits, signals, names, damaged files.

The list of them, with the outcomes, is in docs/reliability.md.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ADD_MODULE, RunTool
from driver_support import ELIDE, TARGET, slabs
from models import MODELS

pytestmark = pytest.mark.one_release

KIB = 1 << 10
MIB = 1 << 20


def rewritten_module() -> str:
    """A convolution of a concatenation of convolutions: it is rewritten."""

    def image(channels: int) -> str:
        return f"tensor<1x{channels}x16x16xf32>"

    def convolution(result: str, source: str, channels: int, filters: int) -> str:
        weight = f"tensor<{filters}x{channels}x1x1xf32>"
        return f"""
  {result}w = arith.constant dense<0.1> : {weight}
  {result}z = arith.constant dense<0.0> : {image(filters)}
  {result} = linalg.conv_2d_nchw_fchw
      {{dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}}
      ins({source}, {result}w : {image(channels)}, {weight})
      outs({result}z : {image(filters)}) -> {image(filters)}"""

    return f"""
func.func @main(%x: {image(4)}) -> {image(4)} {{
  {convolution("%a", "%x", 4, 16)}
  {convolution("%b", "%x", 4, 16)}
  %c = tensor.concat dim(1) %a, %b : ({image(16)}, {image(16)}) -> {image(32)}
  {convolution("%r", "%c", 32, 4)}
  return %r : {image(4)}
}}
"""


@pytest.fixture
def cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module with concatenations, in a folder of its own."""
    path = tmp_path_factory.mktemp("cell") / "cell.mlir"
    path.write_text(MODELS["jax_nhwc"]())
    return path


def run(
    *command: str | bytes | Path,
    limits: dict[int, int] | None = None,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Runs a command with resource limits, by number of the resource."""

    def limit() -> None:
        for number, value in (limits or {}).items():
            resource.setrlimit(number, (value, value))
        # No core file of a process that a limit ends.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return subprocess.run(
        command,
        capture_output=True,
        preexec_fn=limit,
        env={**os.environ, **(environment or {})},
        timeout=600,
        check=False,
    )


def compile_command(serenity_compile: str, source: Path, output: Path) -> list[str]:
    return [
        serenity_compile,
        str(source),
        *TARGET,
        "--serenity-rewrite=off",
        "-o",
        str(output),
    ]


class Paused:
    """A compilation that waits between two serenity passes.

    It prints the module, which has more bytes than a pipe holds, to a pipe without a reader.
    """

    def __init__(
        self, serenity_compile: str, output: Path, environment: dict[str, str] | None = None
    ) -> None:
        source = output.parent / "paused.mlir"
        source.write_text(MODELS["control_flow"]())
        assert source.stat().st_size > 200_000
        command = compile_command(serenity_compile, source, output)
        self.process = subprocess.Popen(
            [*command, "--serenity-print-ir-after=serenity-schedule-regions"],
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        assert self.process.stderr is not None
        assert b"IR Dump After serenity-schedule-regions" in self.process.stderr.readline()
        source.unlink()

    def finish(self) -> tuple[int, bytes]:
        """Lets it go on; returns exit code and the output after the module."""
        _, errors = self.process.communicate(timeout=600)
        return self.process.returncode, errors[-2000:]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


# --- disks --------------------------------------------------------------------


@pytest.mark.parametrize("what", ["output", "report"])
def test_full_disk(what: str, serenity_compile: str, add_module: Path, tmp_path: Path) -> None:
    """A file system of 4 KiB, in a mount namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs -o size=4k none "$0" || exit 77; '
    if shutil.which("unshare") is None or run(*namespace, mount, disk).returncode != 0:
        pytest.skip("no mount namespaces here")
    output = disk / "out.vmfb" if what == "output" else tmp_path / "out.vmfb"
    flags = [f"--serenity-report={disk / 'report.json'}"] if what == "report" else []
    command = [*compile_command(serenity_compile, add_module, output), *flags]
    # Full but for nothing, so that a report of any size is too long.
    fill = 'head -c 4096 /dev/zero > "$0/fill"; ' if what == "report" else ""
    result = run(*namespace, f'{mount}{fill}"$@"; code=$?; ls -A "$0"; exit $code', disk, *command)
    assert result.returncode == 1, result.stderr
    assert b"No space left on device" in result.stderr
    assert b"Stack dump" not in result.stderr
    assert result.stdout == (b"fill\n" if what == "report" else b"")


@pytest.mark.parametrize("kind", ["output", "report", "opt"])
def test_limit_on_the_size_of_files(
    kind: str, serenity_compile: str, serenity_opt: str, add_module: Path, tmp_path: Path
) -> None:
    """Without care SIGXFSZ would end the process with a stack trace."""
    output = tmp_path / "out"
    output.write_text("old")
    command: list[str | Path] = {
        "output": compile_command(serenity_compile, add_module, output),
        "report": [
            *compile_command(serenity_compile, add_module, Path("/dev/null")),
            f"--serenity-report={output}",
        ],
        "opt": [serenity_opt, add_module, "-o", output],
    }[kind]
    result = run(*command, limits={resource.RLIMIT_FSIZE: 16})
    assert result.returncode == 1
    assert b"File too large" in result.stderr and b"Stack dump" not in result.stderr
    assert output.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == sorted([add_module, output])


def test_folder_that_vanishes(serenity_compile: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    paused = Paused(serenity_compile, folder / "out.vmfb")
    folder.rmdir()
    code, errors = paused.finish()
    assert code == 1
    assert b"cannot write output file" in errors and b"No such file or directory" in errors
    assert not list(tmp_path.iterdir())


def test_output_that_becomes_a_folder(serenity_compile: str, tmp_path: Path) -> None:
    output = tmp_path / "out.vmfb"
    paused = Paused(serenity_compile, output)
    output.mkdir()
    code, errors = paused.finish()
    assert code == 1 and b"cannot write output file" in errors
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_folder_that_may_not_be_written(
    serenity_compile: str, add_module: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    result = run(*compile_command(serenity_compile, add_module, folder / "out.vmfb"))
    assert result.returncode == 1 and b"Permission denied" in result.stderr


# --- temporary files ------------------------------------------------------------


@pytest.fixture(scope="module")
def old_file_system(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process whose file systems cannot make files without a name."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#define SHIM(name)                                                             \
  int name(const char *path, int flags, ...) {                                 \
    static int (*real)(const char *, int, ...);                                \
    va_list args;                                                              \
    va_start(args, flags);                                                     \
    int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, int) : 0;        \
    va_end(args);                                                              \
    if ((flags & O_TMPFILE) == O_TMPFILE) {                                    \
      errno = EOPNOTSUPP;                                                      \
      return -1;                                                               \
    }                                                                          \
    if (!real) {                                                               \
      real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);         \
    }                                                                          \
    return real(path, flags, mode);                                            \
  }
SHIM(open)
SHIM(open64)
""")
    library = folder / "shim.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", folder / "shim.c", "-o", library, "-ldl"], check=True
    )
    return {"LD_PRELOAD": str(library)}


def test_named_temporary_files(
    serenity_compile: str, add_module: Path, tmp_path: Path, old_file_system: dict[str, str]
) -> None:
    """A named temporary file that kill -9 leaves is removed by the next compilation."""
    output = tmp_path / "out.vmfb"
    command = compile_command(serenity_compile, add_module, output)
    assert run(*command, environment=old_file_system).returncode == 0
    assert sorted(tmp_path.iterdir()) == sorted([add_module, output])
    first = output.read_bytes()

    def temporaries() -> list[Path]:
        return sorted(tmp_path.glob(".serenity-*.tmp"))

    killed = Paused(serenity_compile, tmp_path / "killed.vmfb", old_file_system)
    (stale,) = temporaries()
    assert re.fullmatch(r"\.serenity-\d+-\d+\.tmp", stale.name)
    killed.kill()
    assert temporaries() == [stale]

    # One that is still at work keeps its file.
    other = tmp_path / "other.vmfb"
    living = Paused(serenity_compile, other, old_file_system)
    (live,) = temporaries()
    assert live != stale
    foreign = tmp_path / ".serenity-notes"
    foreign.write_text("mine")
    assert run(*command, environment=old_file_system).returncode == 0
    assert temporaries() == [live]
    assert living.finish()[0] == 0
    assert sorted(tmp_path.iterdir()) == sorted([foreign, add_module, output, other])
    assert output.read_bytes() == first


def test_replacing_a_file_removes_what_is_stale(
    serenity_opt: str, add_module: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mlir"
    output.write_text("old")
    stale = tmp_path / ".serenity-1-0.tmp"
    stale.write_text("of a process that was killed while it replaced a file")
    link = tmp_path / ".serenity-2-0.tmp"
    link.symlink_to(add_module)
    assert run(serenity_opt, add_module, "-o", output).returncode == 0
    assert sorted(tmp_path.iterdir()) == sorted([link, add_module, output])
    assert add_module.read_text() == ADD_MODULE


def test_killed_at_any_moment(serenity_compile: str, cell: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.vmfb"
    command = compile_command(serenity_compile, cell, output)
    start = time.monotonic()
    assert run(*command).returncode == 0
    duration = time.monotonic() - start
    whole = output.read_bytes()
    output.unlink()
    rng = random.Random(1)
    for attempt in range(8):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        # The later, the nearer to the moments in which files are given their names.
        time.sleep(duration * (1 - rng.random() ** 2) * 1.05)
        process.kill()
        process.wait()
        if output.exists():
            assert output.read_bytes() == whole, attempt
            output.unlink()
        assert not list(tmp_path.iterdir())


def test_compilations_at_once(serenity_compile: str, cell: Path, tmp_path: Path) -> None:
    """Four processes with the same output and report: the last one wins, whole."""
    output, report = tmp_path / "out.vmfb", tmp_path / "report.json"
    command = compile_command(serenity_compile, cell, output)
    command.append(f"--serenity-report={report}")
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    together = output.read_bytes()
    assert json.loads(report.read_text())["schema"]
    assert sorted(tmp_path.iterdir()) == sorted([output, report])
    assert run(*command).returncode == 0
    assert output.read_bytes() == together


# --- names ----------------------------------------------------------------------


def test_names_as_long_as_names_can_be(
    serenity_compile: str, serenity_opt: str, add_module: Path, tmp_path: Path
) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    output = tmp_path / ("x" * longest)
    # Again, to replace it: a temporary name may not be longer than the file's own.
    for _ in range(2):
        result = run(*compile_command(serenity_compile, add_module, output))
        assert result.returncode == 0, result.stderr
        assert run(serenity_opt, add_module, "-o", output).returncode == 0
    too_long = tmp_path / ("x" * (longest + 1))
    result = run(*compile_command(serenity_compile, add_module, too_long))
    assert result.returncode == 1 and b"File name too long" in result.stderr
    report = f"--serenity-report={too_long}"
    result = run(*compile_command(serenity_compile, add_module, output), report)
    assert result.returncode == 2 and b"File name too long" in result.stderr
    assert sorted(tmp_path.iterdir()) == sorted([add_module, output])


def test_names_that_are_not_utf8(serenity_compile: str, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/d\xe4r"
    os.mkdir(folder)
    source, output, report = (folder + b"/" + name for name in (b"\xff.mlir", b"\xfe", b"\xfd"))
    # Rewriting puts places, which have the file's name, into the report.
    with open(source, "w") as file:
        file.write(rewritten_module())
    result = run(serenity_compile, source, *TARGET, b"-o", output, b"--serenity-report=" + report)
    assert result.returncode == 0, result.stderr
    with open(report, encoding="utf-8") as file:
        (function,) = json.load(file)["functions"]
    assert function["rewrites"]
    for rewrite in function["rewrites"]:
        assert ".mlir" in rewrite["location"]
    assert sorted(os.listdir(folder)) == [b"\xfd", b"\xfe", b"\xff.mlir"]


def test_python_with_names_that_are_not_utf8(tmp_path: Path) -> None:
    from serenity_mlir import compile_file

    folder = os.fsencode(tmp_path)
    source = os.fsdecode(folder + b"/in\xff.mlir")
    output = os.fsdecode(folder + b"/out\xff.vmfb")
    Path(source).write_text(ADD_MODULE)
    compile_file(source, target_backends=["vmvx"], output_file=output)
    assert Path(output).stat().st_size > 0
    Path(source).write_text(ADD_MODULE[:100])
    with pytest.raises(RuntimeError) as failure:
        compile_file(source, target_backends=["vmvx"])
    assert "error:" in str(failure.value)


# --- input ----------------------------------------------------------------------


def test_truncated_modules(serenity_compile: str, serenity_opt: str, tmp_path: Path) -> None:
    text = ADD_MODULE.encode()
    source = tmp_path / "whole.mlir"
    source.write_bytes(text)
    bytecode = run(serenity_opt, "--emit-bytecode", source).stdout
    assert bytecode.startswith(b"ML\xefR")
    rng = random.Random(7)
    output = tmp_path / "out.vmfb"
    for data in (text.rstrip(), bytecode):
        for length in sorted(rng.sample(range(1, len(data) - 1), 4)):
            source = tmp_path / "cut.mlir"
            source.write_bytes(data[:length])
            result = run(*compile_command(serenity_compile, source, output))
            assert result.returncode == 1, (length, result.stderr)
            assert b"error: " in result.stderr and b"Stack dump" not in result.stderr
            assert not output.exists()


@pytest.fixture(scope="module")
def onnx_model() -> bytes:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((8, 4, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 8, 8])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def damage_onnx(kind: str, data: bytes) -> bytes:
    if kind == "cut":
        return data[: len(data) // 2]
    if kind == "empty":
        return b""
    if kind == "noise":
        return random.Random(3).randbytes(500)
    assert kind == "operator"
    return data.replace(b"Conv", b"Cnov")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("cut", "reading the ONNX model failed: DecodeError: "),
        ("empty", "not an ONNX model, or cut short: "),
        ("noise", "reading the ONNX model failed: DecodeError: "),
        ("operator", "the ONNX import failed: "),
    ],
)
def test_damaged_onnx(
    kind: str, reason: str, onnx_model: bytes, tmp_path: Path, run_tool: RunTool
) -> None:
    source = tmp_path / "model.onnx"
    source.write_bytes(damage_onnx(kind, onnx_model))
    result = run_tool([sys.executable, "-m", "serenity_mlir", "check", str(source)])
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {source}: {reason}")
    if kind == "operator":  # the name of the exception depends on onnx's version
        assert "No Op registered for Cnov" in result.stderr
    assert len(result.stderr.splitlines()) == 1 and "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == [source]


# --- limits ---------------------------------------------------------------------


@pytest.mark.parametrize("megabytes", [200, 400])
def test_little_memory(megabytes: int, serenity_compile: str, cell: Path, tmp_path: Path) -> None:
    """The compiler ends as the stock one does, with a word about it and nothing written."""
    output = tmp_path / "out.vmfb"
    command = compile_command(serenity_compile, cell, output)
    result = run(*command, limits={resource.RLIMIT_AS: megabytes * MIB})
    if result.returncode == 0:
        assert output.stat().st_size > 0
        return
    assert result.returncode != 0
    assert re.search(
        rb"out of memory|Cannot allocate memory|failed to map|pthread_create", result.stderr
    ), result.stderr
    assert not list(tmp_path.iterdir())


HARD_GRAPH = """
import random, resource, sys, time
from serenity_mlir import Problem, schedule

rng = random.Random(5)
problem = Problem()
for i in range(120):
    problem.add_buffer(f"b{i}", rng.randint(1, 1000))
    uses = {f"b{i}", *(f"b{j}" for j in range(i) if rng.random() < 3 / (i + 1))}
    after = [f"o{name[1:]}" for name in sorted(uses) if name != f"b{i}"]
    problem.add_operation(f"o{i}", sorted(uses), after)
problem.check()
"""


def python(program: str, limits: dict[int, int] | None = None) -> list[str]:
    result = run(sys.executable, "-c", HARD_GRAPH + program, limits=limits)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode().split()


def test_limit_on_the_memory_of_a_search_holds() -> None:
    limit = 64 * MIB
    grown, optimal = python(
        f"""
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = schedule(problem, memory_limit={limit}, time_limit=6)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024, result.optimal)
"""
    )
    # Otherwise nothing has been limited.
    assert optimal == "False"
    assert int(grown) < 2 * limit


def test_limit_on_the_memory_of_the_process() -> None:
    """Python has an exception for that; the process goes on."""
    (what,) = python(
        """
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (96 << 20), resource.RLIM_INFINITY))
try:
    schedule(problem, time_limit=6)
    print("answer")
except MemoryError:
    print("MemoryError")
"""
    )
    assert what in ("answer", "MemoryError")


def test_time_limit_of_zero(serenity_compile: str, cell: Path, tmp_path: Path) -> None:
    from driver_support import Compilers

    compilers = Compilers(serenity_compile, serenity_compile)
    flags = [cell, *TARGET, "--compile-to=stream", *ELIDE]
    (stock,) = slabs(compilers.ours_output(*flags, "--serenity-schedule=off"))
    (ours,) = slabs(compilers.ours_output(*flags, "--serenity-time-limit=0"))
    assert ours <= stock
    report = tmp_path / "report.json"
    assert compilers.report(report, *flags[:-2], "--serenity-time-limit=0")["functions"]


# --- size -----------------------------------------------------------------------


def long_function(operations: int) -> str:
    """Dispatches with one or two of the 40 latest values as operands."""
    rng = random.Random(operations)
    lines = ["util.func public @main(%x: tensor<16xf32>) -> tensor<16xf32> {"]
    values: list[str] = []
    for index in range(operations):
        operands = [rng.choice(values[-40:]) for _ in range(rng.randint(1, 2))] if values else []
        types = ["tensor<1024xf32>"] * len(operands) or ["tensor<16xf32>"]
        lines.append(
            f"  %v{index} = flow.dispatch @big::@big({', '.join(operands) or '%x'})"
            f" : ({', '.join(types)}) -> tensor<1024xf32>"
        )
        values.append(f"%v{index}")
    lines += [
        f"  %r = flow.dispatch @small::@small({values[-1]}) : (tensor<1024xf32>) -> tensor<16xf32>",
        "  util.return %r : tensor<16xf32>",
        "}",
        "flow.executable private @big { flow.executable.export public @big }",
        "flow.executable private @small { flow.executable.export public @small }",
    ]
    return "\n".join(lines) + "\n"


def measured(command: list[str | Path]) -> tuple[int, float, int]:
    """Exit code, processor seconds and peak resident bytes of a command."""
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


@pytest.mark.slow
def test_function_of_50000_operations(serenity_opt: str, tmp_path: Path) -> None:
    """Limits hold where nothing can be proved: seconds and bytes stay near those of no pass."""
    source = tmp_path / "long.mlir"
    source.write_text(long_function(50_000))
    none = measured([serenity_opt, source, "-o", tmp_path / "none.mlir"])
    limit = 2
    output = tmp_path / "ordered.mlir"
    ours = measured(
        [
            serenity_opt,
            "--serenity-schedule",
            f"--serenity-time-limit={limit}",
            source,
            "-o",
            output,
        ]
    )
    assert none[0] == ours[0] == 0
    assert output.read_text().count("flow.dispatch") == 50_001
    # Heuristics and bounds are part of the work that no limit ends at once.
    assert ours[1] - none[1] < 30 + limit
    assert ours[2] - none[2] < 2 << 30


@pytest.mark.slow
def test_hundred_megabytes_of_constants(
    serenity_compile: str, stock_compile: str, tmp_path: Path
) -> None:
    """Clones for candidates share the weights: no second copy of them is made."""
    size = 100 * MIB // 4
    blob = "01000000" + "0000803F" * size
    source = tmp_path / "large.mlir"
    source.write_text(
        f"""
func.func @main(%x: tensor<{size}xf32>) -> (tensor<{size}xf32>, tensor<{size}xf32>) {{
  %w = arith.constant dense_resource<weights> : tensor<{size}xf32>
  %a = arith.addf %x, %w : tensor<{size}xf32>
  %b = arith.mulf %x, %w : tensor<{size}xf32>
  return %a, %b : tensor<{size}xf32>, tensor<{size}xf32>
}}
{{-# dialect_resources: {{ builtin: {{ weights: "0x{blob}" }} }} #-}}
"""
    )
    outputs = [tmp_path / "stock.vmfb", tmp_path / "ours.vmfb"]
    stock = measured([stock_compile, source, *TARGET, "-o", outputs[0]])
    ours = measured([serenity_compile, source, *TARGET, "--serenity-schedule", "-o", outputs[1]])
    assert stock[0] == ours[0] == 0
    assert outputs[1].stat().st_size <= outputs[0].stat().st_size
    assert ours[2] < stock[2] + 300 * MIB
