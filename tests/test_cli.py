# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Properties that all commands of `serenity` have in common."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import ADD_MODULE
from typer.testing import CliRunner

import serenity_mlir
from serenity_mlir.cli import COMMANDS, EXIT_CODES, app
from serenity_mlir.cli._terminal import configure_logging, working

pytestmark = pytest.mark.one_release


def commands() -> dict[str, Any]:
    """Every command that does something, by the words that name it."""
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="serenity")
    found: dict[str, Any] = {}
    for name in COMMANDS:
        _, command, _ = root.resolve_command(context, [name])
        for sub, inner in getattr(command, "commands", {"": command}).items():
            found[f"{name} {sub}".strip()] = inner
    return found


WORDS = sorted(commands())


def run(*arguments: str, **settings) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serenity_mlir", *arguments],
        capture_output=True,
        text=True,
        check=False,
        **settings,
    )


def help_of(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """As after ``pip install --no-deps``."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    source = tmp_path / "in.csv"
    source.write_text("id,lower,upper,size\na,0,3,5\n")
    output = tmp_path / "out.svg"
    result = CliRunner().invoke(app, ["plot", str(source), "-o", str(output)])
    assert result.exit_code == 2
    assert "this needs matplotlib, which is not installed; run: " in result.output
    assert not output.exists()


# --- every command ----------------------------------------------------------------


def test_the_root_lists_every_command_and_exit_code():
    text = help_of()
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", text)
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in text


@pytest.mark.parametrize("words", WORDS)
def test_help_has_an_example_that_the_command_takes(words):
    text = help_of(*words.split())
    examples = re.findall(rf"Example: (serenity {words} .*?) (?=Example:|Exit codes:)", text)
    assert examples, f"no example in the help of {words}"
    command = commands()[words]
    for example in examples:
        arguments = shlex.split(example)[1 + len(words.split()) :]
        # Parsing only: the files of examples need not exist.
        command.make_context(words, arguments, resilient_parsing=False)


@pytest.mark.parametrize("words", WORDS)
def test_help_says_what_exit_codes_mean(words):
    text = help_of(*words.split())
    told = text.partition("Exit codes: ")[2]
    assert told.startswith("0 done; ") and "2 wrong usage" in told and "130 interrupted" in told
    for part in told.rstrip(" ╯│").rstrip(".").split("; "):
        code, _, meaning = part.partition(" ")
        assert EXIT_CODES[int(code)] == meaning


@pytest.mark.parametrize("words", WORDS)
def test_every_command_offers_json(words):
    assert any("--json" in parameter.opts for parameter in commands()[words].params)


@pytest.mark.parametrize("words", WORDS)
def test_every_parameter_has_help_and_no_command_installs_completion(words):
    for parameter in commands()[words].params:
        assert getattr(parameter, "help", None), f"{words}: {parameter.name}"
    assert "--install-completion" not in help_of(*words.split())


@pytest.mark.parametrize("words", WORDS)
def test_unknown_options_are_wrong_usage(words):
    result = CliRunner().invoke(app, [*words.split(), "--no-such-option"])
    assert result.exit_code == 2


def files(command: Any) -> list[Any]:
    """The arguments that name a file to read."""
    return [
        parameter
        for parameter in command.params
        if parameter.param_type_name == "argument"
        and parameter.required
        and parameter.name not in ("name",)
    ]


@pytest.mark.parametrize("words", [words for words in WORDS if files(commands()[words])])
@pytest.mark.parametrize("content", [None, b"", b"\x00\xff\xfe junk \x80" * 20])
def test_a_missing_or_damaged_file_gives_one_sentence(words, content, tmp_path):
    models = dict.fromkeys(("check", "emit-c", "peak"), ".onnx")
    suffix = {"pack": ".csv", **models}.get(words, ".json")
    path = tmp_path / f"input{suffix}"
    if content is not None:
        path.write_bytes(content)
    arguments = [*words.split(), str(path)]
    for parameter in commands()[words].params:
        if parameter.required and "--output" in parameter.opts:
            arguments += ["--output", str(tmp_path / "out.svg")]
        if parameter.required and "--target" in parameter.opts:
            arguments += ["--target", "host"]
    result = CliRunner().invoke(app, arguments)
    if content == b"" and words == "pack" and result.exit_code == 0:
        return  # No buffer at all is a list of buffers.
    assert result.exit_code in (1, 2), result.output
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
    # One line, which names the file.
    lines = [line for line in result.output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1 and str(path) in errors[0], result.output
    assert "Traceback" not in result.output
    assert set(lines) - set(errors) <= {lines[0]} if words == "peak" else len(lines) <= 6


# --- the program --------------------------------------------------------------------


def test_the_package_runs_as_a_module():
    process = run("--version")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.strip() == serenity_mlir.__version__


def test_type_hints_are_shipped():
    assert (Path(serenity_mlir.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell):
    def complete(*words: str) -> str:
        environment = {
            **os.environ,
            "_SERENITY_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": " ".join(words),
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        }
        if shell == "fish":
            environment["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
        return run(env=environment).stdout

    assert "networks" in complete("serenity", "net")
    assert "--jobs" in complete("serenity", "check", "--j")


def test_completion_can_be_installed_and_shown():
    text = help_of()
    assert "--install-completion" in text and "--show-completion" in text


# --- noise and progress ---------------------------------------------------------------


@pytest.fixture
def add_file(tmp_path: Path) -> Path:
    path = tmp_path / "add.mlir"
    path.write_text(ADD_MODULE)
    return path


def test_nothing_but_the_answer_is_printed_and_verbose_tells_the_rest(add_file):
    arguments = ["peak", str(add_file), "--json", "--jobs", "1"]
    quiet = run(*arguments)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    (record,) = json.loads(quiet.stdout)
    # Two inputs and a result of 64 bytes, and nothing between.
    assert record["result"]["external_bytes"] == 3 * 64
    assert record["result"]["transient_bytes"] == 0


def test_verbose_goes_through_logging_to_standard_error(add_file):
    arguments = ["check", str(add_file), "--json"]
    quiet = CliRunner().invoke(app, arguments)
    assert quiet.exit_code == 0 and quiet.stderr == ""
    told = CliRunner().invoke(app, ["--verbose", *arguments])
    assert json.loads(told.stdout)["ok"] is True
    assert "debug: running " in told.stderr and "serenity-compile" in told.stderr
    assert "info: compiling" in told.stderr
    # The next command is quiet again.
    assert CliRunner().invoke(app, ["networks", "list", "--json"]).stderr == ""
    assert not logging.getLogger("serenity_mlir").isEnabledFor(logging.INFO)


def test_progress_shows_on_a_terminal_after_a_second_and_goes_again(monkeypatch):
    configure_logging(verbose=False)
    ours, theirs = pty.openpty()
    with open(theirs, "w", buffering=1) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        with working("thinking"):
            pass
        with working("waiting"):
            logging.getLogger("serenity_mlir.somewhere").info("doing [one] thing")
            time.sleep(1.6)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 1 << 16)
        except OSError:
            break
    os.close(ours)
    text = shown.decode()
    assert "thinking" not in text
    assert "doing [one] thing" in text
    # The line is cleared, the cursor shown again.
    assert text.rstrip().endswith("\x1b[2K") and "\x1b[?25h" in text


def test_no_progress_where_no_terminal_is(capsys):
    with working("thinking"):
        time.sleep(1.3)
    assert capsys.readouterr().err == ""


# --- many models ------------------------------------------------------------------------


def test_peaks_of_a_folder_with_a_damaged_model(add_file, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"junk")
    results = tmp_path / "peaks.jsonl"
    arguments = ["peak", str(tmp_path), "--effort", "fast", "--results", str(results)]
    process = run(*arguments, "--json", "--jobs", "2")
    assert process.returncode == 1, process.stderr
    records = {Path(record["model"]).name: record for record in json.loads(process.stdout)}
    assert records["add.mlir"]["result"]["external_bytes"] == 192
    assert "reading the ONNX model failed" in records["broken.onnx"]["error"]
    assert len(results.read_text().splitlines()) == 2
    # Only the failure is tried again; the table has the other, too.
    again = run(*arguments)
    assert again.returncode == 1
    assert "192" in again.stdout and "broken.onnx" in again.stderr
    assert len(results.read_text().splitlines()) == 3


def test_checks_of_several_models(add_file, tmp_path):
    arguments = ["check", str(add_file), str(tmp_path / "none.mlir"), "--jobs", "1"]
    process = run(*arguments, "--iree-opt-level=O1")
    assert process.returncode == 2, process.stderr
    assert "2 models: 1 hold, 0 disagree, 1 failed" in process.stdout
    assert f"error: {tmp_path / 'none.mlir'}: no such file" in process.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "a.mlir", "b.mlir", "--report", "r.json"],
        ["check", "--iree-opt-level=O1"],
        ["check", "a.mlir", "--nonsense=1"],
        ["check", "a.mlir", "--jobs", "0"],
        ["check", "@none.txt"],
        ["peak", "a.mlir", "--effort", "some"],
    ],
)
def test_wrong_usage_of_the_commands_for_models(arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 2
