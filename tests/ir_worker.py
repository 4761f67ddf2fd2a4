# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs passes on modules in a process of its own, which a crash would end.

    python ir_worker.py passes FILE...                    each pass, and all, on every module
    python ir_worker.py mutants FIRST COUNT SEED FILE...  the same on mutants of the modules
    python ir_worker.py leaks ROUNDS FILE                 bytes that the process grows by

A file may hold several modules with lines of ``// -----`` between them. One line of JSON is printed
for each module: its file, its number, and its state after each pass: ``unchanged``,
``changed`` or ``error: ...``. Before a module is touched its text goes to the file that
``$IR_WORKER_LAST`` names, so that whoever looks at a crash has the cause.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from iree.compiler import ir, passmanager

from serenity_mlir import _core, passes

PIPELINES = [*([name] for name in passes.names()), passes.names()]
#: So that a mutant that makes a search hard does not end the test's time.
LIMITS = {"state_limit": 2000, "time_limit": 5.0}

_OPERAND = re.compile(r"%\w+(?:#\d+)?")
_NUMBER = re.compile(r"(?<![\w.\"])-?\d+(?![\w.\"])")
_TYPE = re.compile(r"tensor<[^<>]*>|!stream\.resource<\w+>|\b(?:index|i1|i8|i32|i64|f16|f32)\b")
_EXTENT = re.compile(r"(?<=[<x])\d+(?=x)")
_ATTRIBUTE = re.compile(r"\b\w+ = [^,{}\[\]<>]+(?=[,}])|\{[^{}]*\} ?")
_TYPES = ("tensor<0xf32>", "tensor<?xf32>", "tensor<4x0xi8>", "tensor<f64>", "index", "i1", "i4")
_NUMBERS = ("0", "-1", "1", "63", "65", "4294967296", "9223372036854775807")


def modules(paths: list[str]) -> Iterator[tuple[str, int, str]]:
    """Yields file, number and text of every module."""
    for path in paths:
        text = Path(path).read_bytes().decode("utf-8")
        for number, part in enumerate(re.split(r"^// -----.*$", text, flags=re.MULTILINE)):
            yield path, number, part


def mutate(text: str, rng: random.Random) -> str:
    """Returns the module with up to three changes: lines, operands, numbers, types, attributes."""
    lines = text.splitlines()
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        kind = rng.randrange(8)
        if kind == 0 and len(lines) > 2:
            del lines[at]
        elif kind == 1:
            lines.insert(rng.randrange(len(lines)), lines[at])
        elif kind == 2:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == 3:
            _replace(lines, at, _OPERAND, rng, _OPERAND.findall(text))
        elif kind == 4:
            _replace(lines, at, _NUMBER, rng, _NUMBERS)
        elif kind == 5:
            _replace(lines, at, _ATTRIBUTE, rng, ("",))
        elif kind == 6:
            # Everywhere, or the types no longer agree.
            found = _TYPE.findall(lines[at])
            if found:
                old, new = rng.choice(found), rng.choice(_TYPES)
                lines = [line.replace(old, new) for line in lines]
        else:
            extents = _EXTENT.findall(lines[at])
            if extents:
                pattern = rf"(?<=[<x]){rng.choice(extents)}(?=x)"
                new = rng.choice(("0", "1", "?", "100000000000"))
                lines = [re.sub(pattern, new, line) for line in lines]
    return "\n".join(lines)


def _replace(
    lines: list[str], at: int, what: re.Pattern[str], rng: random.Random, by: object
) -> None:
    found = list(what.finditer(lines[at]))
    choices = list(by)  # type: ignore[call-overload]
    if found and choices:
        match = rng.choice(found)
        lines[at] = lines[at][: match.start()] + rng.choice(choices) + lines[at][match.end() :]


def parse(text: str) -> ir.Module | None:
    """Returns the module, None if it is none or does not verify."""
    try:
        module = ir.Module.parse(text)
    except ir.MLIRError:
        return None
    return module if module.operation.verify() else None


def is_valid(text: str) -> bool:
    """Returns whether a process of its own can read the module.

    IREE's parser leaves its heap damaged after some errors, or ends the process.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with ir.Context() as context:
                context.enable_multithreading(False)
                code = 0 if parse(text) is not None else 1
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def limits(name: str) -> dict[str, float]:
    """Returns those of `LIMITS` that the pass has."""
    (known,) = (declared.options for declared in _core.pass_declarations() if declared.name == name)
    return {key: value for key, value in LIMITS.items() if key.replace("_", "-") in known}


def run(text: str) -> dict[str, str] | None:
    """Returns the effect of each pipeline on the module, None if it is no valid one."""
    last = os.environ.get("IR_WORKER_LAST")
    if last:
        Path(last).write_text(text, encoding="utf-8")
    if not is_valid(text):
        return None
    results = {}
    with ir.Context() as context:
        # IREE's Python bindings verify in several threads while they hold Python's lock, and wait
        # for ever when another thread than the first has an error to report.
        context.enable_multithreading(False)
        original = parse(text)
        if original is None:
            return None
        before = str(original)
        for names in PIPELINES:
            module = original.operation.clone()
            manager = passmanager.PassManager("builtin.module")
            for name in names:
                passes.add(manager, name, **limits(name))  # type: ignore[arg-type]
            try:
                manager.run(module)
            except ir.MLIRError as error:
                result = f"error: {error.message}" if error.message else f"error: {error}"
            else:
                result = "unchanged" if str(module) == before else "changed"
                if not module.verify():
                    result = "broken"
            results[names[0] if len(names) == 1 else "all"] = result
    return results


def resident_bytes() -> int:
    """Returns how much memory of this process is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str]) -> None:
    """Runs the worker as the module's docstring describes."""
    mode, *rest = arguments
    if mode == "leaks":
        rounds, path = int(rest[0]), rest[1]
        text = Path(path).read_text(encoding="utf-8")
        for _ in range(rounds):
            run(text)  # The first rounds fill caches and the allocator's arenas.
        before = resident_bytes()
        for _ in range(rounds):
            run(text)
        print(json.dumps(resident_bytes() - before))
        return
    if mode == "mutants":
        first, count, seed, *paths = rest
        originals = [m for m in modules(paths) if 0 < len(m[2]) < 200_000 and len(m[2].split()) > 4]
        for index in range(int(first), int(count)):
            rng = random.Random(f"{seed} {index}")
            path, number, text = rng.choice(originals)
            results = run(mutate(text, rng))
            print(json.dumps([path, number, results]), flush=True)
        return
    assert mode == "passes"
    for path, number, text in modules(rest):
        print(json.dumps([path, number, run(text)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
