# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Options.def and Passes.def are the one place where options and passes are declared."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from serenity_mlir import _core
from serenity_mlir._native import native_tool
from serenity_mlir.compiling.options import SerenityOptions

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = REPOSITORY / "passes/serenity"


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(tool: str) -> str:
    return subprocess.run(
        [native_tool(tool), "--help"], capture_output=True, text=True, check=True
    ).stdout


def test_generated_files_are_current() -> None:
    generator = load(REPOSITORY / "cmake/write_declarations.py")
    for path, text in generator.files().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name}: run cmake/write_declarations.py"
        )


def test_every_pass_has_a_description_tests_and_declared_options() -> None:
    options = {option.name for option in _core.option_declarations() if option.is_pass_option}
    for declared in _core.pass_declarations():
        source = SOURCES / "Transforms" / declared.source
        assert source.read_text(encoding="utf-8").splitlines()[4].startswith("//"), source
        folder = declared.name.removeprefix("serenity-").replace("-", "_")
        assert any((REPOSITORY / "lit_tests" / folder).glob("*.mlir")), declared.name
        assert set(declared.options) <= options, declared.name


def test_attributes_are_spelled_in_one_place() -> None:
    spelled = {
        path.name
        for path in (*SOURCES.rglob("*.cpp"), *SOURCES.rglob("*.h"))
        if re.search(r'(?m)^(?!\s*//).*"serenity\.\w', path.read_text("utf-8"))
    }
    assert spelled == {"Attributes.h", "Attributes.cpp"}


def test_every_rewrite_kind_has_a_section() -> None:
    kinds = _core.rewrite_kind_declarations()
    assert len(kinds) >= 6
    page = (REPOSITORY / "docs/rewriting.md").read_text("utf-8")
    sections = {h.lower().replace(" ", "-") for h in re.findall(r"(?m)^### (.*)$", page)}
    assert len({kind.name for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert kind.anchor in sections, kind.name


def test_every_refusal_has_a_lit_test() -> None:
    """A reason that no operation can have would be dead, and a changed text unnoticed."""
    folder = REPOSITORY / "lit_tests" / "rewrite"
    tested = "".join(path.read_text("utf-8") for path in folder.glob("*.mlir"))
    assert [text for text in _core.rewrite_refusals() if text not in tested] == []


def test_names_are_kebab_case_and_distinct() -> None:
    for names in (
        [option.name for option in _core.option_declarations()],
        [declared.name for declared in _core.pass_declarations()],
    ):
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


def test_the_tools_take_every_option() -> None:
    passes = {declared.name for declared in _core.pass_declarations()}
    driver, opt = shown("serenity-compile"), shown("serenity-opt")
    for option in _core.option_declarations():
        flag = f"serenity-{option.name}"
        value = rf"\[?={re.escape(option.value)}\]?"
        assert bool(re.search(rf"(?m)^  --{flag}{value}\s", driver)) == option.is_driver_flag
        if option.is_pass_option and flag not in passes:
            assert re.search(rf"(?m)^  --{flag}={re.escape(option.value)}\s", opt)


def test_every_enumerator_has_a_spelling() -> None:
    headers = "".join(p.read_text("utf-8") for p in SOURCES.rglob("*.h"))
    declared = (SOURCES / "Transforms/Options.def").read_text("utf-8")
    choices = re.findall(r"(?ms)^SERENITY_CHOICES\((\w+),\s(\{.*?\})\)$", declared)
    assert len(choices) >= 5
    for name, text in choices:
        (body,) = re.findall(rf"(?s)enum class {name} \{{(.*?)\}}", headers)
        assert re.findall(rf"{name}::(\w+)", text) == re.findall(r"\w+", body), name


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("schedule", ["on", "off", "true", "false"], ["", "yes", "1"]),
        ("rewrite", ["auto", "off", "always"], ["", "Auto", "auto "]),
        ("time-limit", ["0", "0.5", ".5", "1e3"], ["", "-1", "inf", "nan", "1s", " 1", "-0.0"]),
        ("state-limit", ["0", "7"], ["", "-1", "1e3", "99999999999999999999", "0x10"]),
        ("memory-budget", ["1", "256KB", "256KiB", "3B"], ["", "0", "0KB", "1.5MB", "256 KB"]),
        ("report", ["r.json"], [""]),
        ("print-ir-after", ["serenity-pack"], ["", "canonicalize"]),
    ],
)
def test_values(name: str, good: list[str], bad: list[str]) -> None:
    for value in good:
        _core.check_option(name, value)
    for value in bad:
        with pytest.raises(ValueError, match=f"invalid value .* of {name}; expected "):
            _core.check_option(name, value)


def test_an_option_that_is_not_declared() -> None:
    with pytest.raises(ValueError, match="no option 'fastest'"):
        _core.check_option("fastest", "on")


def test_the_same_value_is_refused_everywhere(tmp_path: Path) -> None:
    expected = "expected exact, greedy or iree"
    with pytest.raises(ValueError, match=f"offsets: .*{expected}"):
        SerenityOptions(offsets="best")
    source = tmp_path / "empty.mlir"
    source.write_text("module {}")
    for tool, flag in (
        ("serenity-compile", "--serenity-offsets=best"),
        ("serenity-opt", "--serenity-offsets=best"),
        ("serenity-opt", "--serenity-pack=offsets=best"),
    ):
        process = subprocess.run(
            [native_tool(tool), str(source), flag], capture_output=True, text=True
        )
        assert process.returncode == 2
        assert f"invalid value 'best' of offsets; {expected}" in process.stderr
