# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""serenity-opt as a program: exit codes, input and output files, and input that is wrong.

The effects of its passes and flags on modules are tested in lit_tests/.
"""

from __future__ import annotations

import os
import random
import re
import stat
import subprocess
from pathlib import Path

import pytest

from serenity_mlir.compiling.declared import pass_names

pytestmark = pytest.mark.one_release

REPOSITORY = Path(__file__).resolve().parent.parent

MODULE = """\
func.func @f(%a: i32) -> i32 {
  %c = arith.constant 3 : i32
  %0 = arith.addi %a, %c : i32
  return %0 : i32
}
"""
PASSES = tuple(f"--{name}" for name in pass_names())


def opt(*args: str | Path, input: bytes | str = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs $SERENITY_OPT, as in the lit tests, or the installed serenity-opt."""
    from serenity_mlir._native import native_tool

    tool = os.environ.get("SERENITY_OPT") or native_tool("serenity-opt")
    data = input.encode() if isinstance(input, str) else input
    return subprocess.run([tool, *map(str, args)], input=data, capture_output=True, timeout=300)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.mlir"
    path.write_text(MODULE)
    return path


# --- exit codes --------------------------------------------------------------


def test_success_is_0(module: Path) -> None:
    result = opt(module, *PASSES)
    assert result.returncode == 0
    assert b"func.func @f" in result.stdout and result.stderr == b""


@pytest.mark.parametrize(
    "flags",
    [
        ("--serenity-no-such-flag",),
        ("--no-such-flag",),
        ("--no-such-flag=1",),
        ("-x",),
        ("--iree-hal-memoization=perhaps",),
        ("--pass-pipeline=builtin.module(no-such-pass)",),
        ("--serenity-scheduler=fast",),
        ("--serenity-time-limit=-1",),
        ("--serenity-time-limit=inf",),
        ("--serenity-state-limit=1e3",),
        ("--serenity-state-limit=99999999999999999999",),
        ("-o",),
        ("-o", "a", "-o", "b"),
        ("a.mlir", "b.mlir"),
        ("--verify-each=2",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_writes_nothing(
    flags: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = opt(*flags, input=MODULE)
    assert result.returncode == 2
    assert result.stdout == b""
    assert result.stderr.startswith(b"serenity-opt: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "source",
    ["func.func @f(", "foo.bar", MODULE + "}", "func.func @f(%a: i32) { return %a : i32 }"],
)
def test_a_wrong_module_is_1(source: str) -> None:
    result = opt(*PASSES, input=source)
    assert result.returncode == 1
    assert result.stdout == b""
    assert re.match(rb"<stdin>:\d+:\d+: error: ", result.stderr)


def test_a_failing_pass_is_1(module: Path) -> None:
    # This one wants a function, not a module.
    pipeline = "--pass-pipeline=builtin.module(iree-stream-schedule-execution)"
    result = opt(module, pipeline)
    assert result.returncode == 1
    assert result.stdout == b"" and b"error: " in result.stderr


@pytest.mark.parametrize("name", ["missing.mlir", ".", "missing/module.mlir"])
def test_input_that_cannot_be_read_is_1(name: str, tmp_path: Path) -> None:
    result = opt(tmp_path / name)
    assert result.returncode == 1
    assert b"cannot read input" in result.stderr and str(tmp_path).encode() in result.stderr


# --- help --------------------------------------------------------------------


def test_help_names_every_flag_and_pass() -> None:
    result = opt("--help")
    assert result.returncode == 0 and result.stderr == b""
    text = result.stdout.decode()
    for flag in (*PASSES, "--pass-pipeline", "--split-input-file", "--verify-diagnostics", "-o "):
        assert f"  {flag}" in text
    assert opt("-h").stdout == result.stdout


def test_list_of_passes() -> None:
    text = opt("--list-passes").stdout.decode()
    names = re.findall(r"^(\S+)$", text, re.MULTILINE)
    assert names == list(pass_names())
    assert text.count("options: ") == len(names)


def test_flags_of_iree_are_listed_by_help_hidden() -> None:
    result = opt("--help-hidden")
    assert result.returncode == 0
    assert b"--iree-hal-target-device" in result.stdout


# --- flags that are passed on --------------------------------------------------


def test_flags_are_passed_on_with_their_values(module: Path) -> None:
    assert b'"func.func"' in opt(module, "--mlir-print-op-generic").stdout
    constant = b"dense<[1, 2, 3, 4, 5]>"
    source = b"util.global @g = " + constant + b" : tensor<5xi32>\n"
    for flags in (
        ["--mlir-elide-elementsattrs-if-larger=2"],
        ["--mlir-elide-elementsattrs-if-larger", "2"],
        ["-mlir-elide-elementsattrs-if-larger", "2"],
    ):
        result = opt(*flags, "-", input=source)
        assert result.returncode == 0 and constant not in result.stdout
    assert constant in opt(input=source).stdout


def test_values_may_look_like_our_flags(module: Path) -> None:
    # The value of a flag of IREE, not a serenity flag.
    result = opt(module, "--iree-hal-dump-executable-files-to", "--serenity-pack")
    assert result.returncode == 0, result.stderr


def test_response_file_and_end_of_flags(module: Path, tmp_path: Path) -> None:
    response = tmp_path / "flags.txt"
    response.write_text(f"--mlir-print-op-generic\n'--serenity-pack' {module}\n")
    assert b'"func.func"' in opt(f"@{response}").stdout
    odd = tmp_path / "--serenity-pack"
    odd.write_text(MODULE)
    result = subprocess.run(
        [*opt("--help").args[:1], "--", "--serenity-pack"], capture_output=True, cwd=tmp_path
    )
    assert result.returncode == 0 and b"@f" in result.stdout


def test_unregistered_dialects_are_accepted_only_if_allowed() -> None:
    source = '"foo.bar"() : () -> ()\n'
    assert opt(input=source).returncode == 1
    result = opt("--allow-unregistered-dialect", input=source)
    assert result.returncode == 0 and b'"foo.bar"' in result.stdout


# --- files --------------------------------------------------------------------


def test_output_replaces_a_file_and_keeps_its_permissions(module: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mlir"
    output.write_text("old")
    output.chmod(0o640)
    assert opt(module, "-o", output).returncode == 0
    assert output.read_text().startswith("module {")
    assert stat.S_IMODE(output.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["module.mlir", "out.mlir"]


def test_a_new_file_has_the_usual_permissions(module: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mlir"
    assert opt(module, "-o", output).returncode == 0
    reference = tmp_path / "reference"
    reference.touch()
    assert output.stat().st_mode == reference.stat().st_mode


def test_output_may_be_the_input(module: Path) -> None:
    assert opt(module, "-o", module, "--mlir-print-op-generic").returncode == 0
    assert '"func.func"' in module.read_text()


def test_a_symbolic_link_stays_one(module: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "target.mlir", tmp_path / "link.mlir"
    target.write_text("old")
    link.symlink_to(target)
    assert opt(module, "-o", link).returncode == 0
    assert link.is_symlink() and target.read_text().startswith("module {")


def test_devices_are_written_to(module: Path) -> None:
    assert opt(module, "-o", "/dev/stdout").stdout == opt(module).stdout
    assert opt(module, "-o", "/dev/null").stdout == b""


@pytest.mark.parametrize("source", ["func.func @f(", "foo.bar"])
def test_a_failed_run_leaves_the_output_alone(source: str, tmp_path: Path) -> None:
    output = tmp_path / "out.mlir"
    assert opt("-o", output, input=source).returncode == 1
    assert list(tmp_path.iterdir()) == []
    output.write_text("old")
    assert opt("-o", output, input=source).returncode == 1
    assert output.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mlir"]


def test_one_bad_part_spoils_the_output(tmp_path: Path) -> None:
    output = tmp_path / "out.mlir"
    source = f"{MODULE}// -----\nfoo.bar\n// -----\n{MODULE}"
    assert opt("--split-input-file", "-o", output, input=source).returncode == 1
    assert not output.exists()


def test_output_that_cannot_be_written_is_1(module: Path, tmp_path: Path) -> None:
    for output in (tmp_path, tmp_path / "missing" / "out.mlir"):
        result = opt(module, "-o", output)
        assert result.returncode == 1
        assert b"cannot open output file" in result.stderr
        assert str(output).encode() in result.stderr


# --- bytecode -----------------------------------------------------------------


def test_bytecode_and_back(module: Path, tmp_path: Path) -> None:
    bytecode = tmp_path / "module.mlirbc"
    assert opt(module, "--emit-bytecode", "-o", bytecode).returncode == 0
    data = bytecode.read_bytes()
    assert data.startswith(b"ML\xefR")
    text = opt(module, *PASSES).stdout
    assert opt(bytecode, *PASSES).stdout == text
    assert opt(*PASSES, input=data).stdout == text
    # Locations survive.
    assert b"module.mlir" in opt(bytecode, "--mlir-print-debuginfo").stdout


def test_a_marker_inside_bytecode_is_none() -> None:
    source = rb'module attributes {util.note = "a\0A// -----\0Ab"} {}'
    bytecode = opt("--emit-bytecode", input=source).stdout
    assert b"\n// -----\n" in bytecode
    result = opt("--split-input-file", input=bytecode)
    assert result.returncode == 0 and result.stdout == opt(input=source).stdout


def test_damaged_bytecode_is_an_error(module: Path, tmp_path: Path) -> None:
    bytecode = tmp_path / "module.mlirbc"
    opt(module, "--emit-bytecode", "-o", bytecode)
    data = bytecode.read_bytes()
    for length in range(4, len(data), max(1, len(data) // 12)):
        result = opt(input=data[:length])
        assert result.returncode == 1 and b"error: " in result.stderr


# --- input that is wrong --------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"module {\x00}",
        b"\xff\xfe\x00",
        bytes(range(256)),
        b"ML\xefR",
        b"ML\xefR" + bytes(100),
        b"// -----\n" * 3 + b"}",
        b"\xef\xbb\xbfmodule {}",
        b'module attributes {a = "\\FF"} {',
    ],
)
def test_bytes_that_are_no_module(data: bytes) -> None:
    for flags in ((), ("--verify-diagnostics",), ("--split-input-file",)):
        result = opt(*flags, *PASSES, input=data)
        assert result.returncode in (0, 1), result.stderr


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("module {", "}"), ("(", ")"), ("util.global @g = dense<" + "[" * 9, ""), ("!a.b<", ">")],
)
def test_deep_nesting_is_no_crash(opening: str, closing: str) -> None:
    for depth in (100, 5000, 200_000):
        result = opt(input=opening * depth + closing * depth)
        assert result.returncode in (0, 1), f"{depth}: {result.returncode}"
    assert b"nested too deeply" in result.stderr
    # As deep as that is still read.
    assert opt(*PASSES, input="module {" * 5000 + "}" * 5000).returncode == 0


def test_empty_input_is_an_empty_module() -> None:
    assert opt(*PASSES).stdout == b"module {\n}\n\n" or opt(*PASSES).stdout == b"module {\n}\n"


def seeds_of_mutation() -> list[str]:
    """The valid modules of the lit tests, without comments."""
    parts = []
    for path in sorted((REPOSITORY / "lit_tests").rglob("*.mlir")):
        if "Inputs" in path.parts or path.parent.name == "opt":
            continue
        for part in re.split(r"^// -----\s*$", path.read_text(), flags=re.MULTILINE):
            lines = [line for line in part.splitlines() if not line.lstrip().startswith("//")]
            if any("func" in line for line in lines):
                parts.append("\n".join(lines))
    return parts


STALE_READ = "error: reads what was overwritten in place before"


@pytest.mark.parametrize("seed", range(2))
def test_mutated_modules_never_crash_a_pass(seed: int) -> None:
    """Mutants fail to verify, or all passes leave a module that does, or one refuses with a reason.

    The only reason: an operand that serenity_mlir has marked as overwritten in place is read later.
    """
    rng = random.Random(seed)
    words = re.compile(r"%\w+(?:#\d)?|-?\b\d+\b|![\w.]+<[^>]*>|tensor<[^>]*>")
    originals = seeds_of_mutation()
    assert len(originals) > 20
    survivors = tried = 0
    while survivors < 15:
        tried += 1
        assert tried <= 1000, "hardly any mutant is valid"
        lines = rng.choice(originals).splitlines()
        for _ in range(rng.randint(1, 3)):
            a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
            action = rng.randrange(5)
            if action == 0 and len(lines) > 2:
                del lines[a]
            elif action == 1:
                lines.insert(b, lines[a])
            elif action == 2:
                lines[a], lines[b] = lines[b], lines[a]
            elif found := words.findall(lines[a]):
                other = rng.choice(words.findall("\n".join(lines)))
                lines[a] = lines[a].replace(rng.choice(found), other, 1)
        source = "\n".join(lines)
        if opt(input=source).returncode != 0:
            continue
        survivors += 1
        result = opt(*PASSES, "--serenity-state-limit=1000", input=source)
        errors = result.stderr.decode()
        refused = result.returncode == 1 and STALE_READ in errors and not result.stdout
        assert result.returncode == 0 or refused, f"{source}\n{errors}"


# --- documentation ------------------------------------------------------------


def test_the_documented_example(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "serenity_opt.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)
    region, diagnostics = (body for language, body in blocks if language == "mlir")
    printed = next(body for language, body in blocks if not language and body.startswith("} =>"))
    result = opt("--serenity-schedule-regions", input=region)
    assert result.returncode == 0
    assert printed.strip() in result.stdout.decode()
    (pipeline,) = re.findall(r"With `(--pass-pipeline=\S+)`", text)
    result = opt(pipeline.replace("'", ""), input=region)
    assert "stream.resource.alloca" in result.stdout.decode()
    assert "%c4224 = arith.constant 4224" in result.stdout.decode()
    assert opt("--verify-diagnostics", input=diagnostics).returncode == 0


def test_the_documented_options_are_those_of_the_passes() -> None:
    text = (REPOSITORY / "docs" / "serenity_opt.md").read_text(encoding="utf-8")
    documented: dict[str, set[str]] = {name.removeprefix("--"): set() for name in PASSES}
    for option, flag, passes in re.findall(
        r"^\| `([\w-]+)=.*?` \| (`--\S+`|none) \| (.*) \|$", text, re.M
    ):
        assert flag == "none" or f"  {flag.strip('`')}=" in opt("--help").stdout.decode()
        for name in documented if passes == "all" else re.findall(r"`([\w-]+)`", passes):
            documented[name].add(option)
    listed = re.findall(
        r"^(\S+)\n.*\n    options: (.*)$", opt("--list-passes").stdout.decode(), re.M
    )
    assert {name: {*options.split(", ")} - {"none"} for name, options in listed} == documented
