# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity emit-c``: from a model to a folder with C, an object and a firmware's build files."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serenity_mlir._files import write_whole
from serenity_mlir.compiling.compiler import SerenityOptions
from serenity_mlir.compiling.importing import Imported, import_model, model_name
from serenity_mlir.compiling.messages import shown_as
from serenity_mlir.compiling.signatures import Signature, read_signatures
from serenity_mlir.emitting.arena import hold_inputs_and_results
from serenity_mlir.emitting.c_writer import Layout, template, write_header, write_source
from serenity_mlir.emitting.constants import evaluate_constants
from serenity_mlir.emitting.elf import ElfObject, Symbol
from serenity_mlir.emitting.hal_reader import entry_points, read_program
from serenity_mlir.emitting.kernels import Kernel, read_kernels
from serenity_mlir.emitting.math_functions import MATH_FUNCTIONS
from serenity_mlir.emitting.program import Dispatch, Program
from serenity_mlir.emitting.targets import Target, target_named
from serenity_mlir.emitting.toolchain import Sizes, compile_c, measure_objects
from serenity_mlir.errors import SerenityError, parse_diagnostics
from serenity_mlir.measuring.predictions import read_prediction
from serenity_mlir.reports.reporting import RegionReport, Report, parse_report

__all__ = ["Emission", "Emitted", "Source", "emit", "emit_c", "load_source", "model_identifier"]

#: IREE says so whatever the flags; LLVM knows the features of these processors.
_KNOWN_WARNING = "Resolution of CPU to CPU-features is not implemented"


@dataclass(frozen=True)
class Source:
    """A model as the compiler reads it, and one of its entry points."""

    title: str
    model: Imported
    signature: Signature


@dataclass(frozen=True)
class Emission:
    """A model as C, not yet written.

    Attributes:
      layout: the program under its C names.
      target: for which.
      content: of the files, by name.
      undefined: functions that the kernels call and the C compiler's library has.
      report: of serenity; None for the stock compiler.
      sizes: of NAME.o and NAME.c; of NAME.o and the arrays alone where no C compiler is installed.
      measured: whether NAME.c is in `sizes`.
    """

    layout: Layout
    target: Target
    content: Mapping[str, bytes]
    undefined: tuple[str, ...]
    report: Report | None
    sizes: Sizes
    measured: bool

    @property
    def arena_bytes(self) -> int:
        """Bytes of the arena."""
        return self.layout.program.arena_bytes

    @property
    def predicted_bytes(self) -> int | None:
        """Bytes of the arena by the compiler's report; None without a report.

        The transient peak that it predicts; with the inputs and results in the arena, what their
        layout beside a slab of that size takes.
        """
        found = read_prediction(self.report, self.layout.program.function)
        peak = found.transient_peak_bytes if found else None
        held = self.layout.program.held
        return self.arena_bytes if held and peak == held.slab_bytes else peak


@dataclass(frozen=True)
class Emitted:
    """The answer of `emit_c`: the emission, and the memory of the stock compiler's.

    `stock` is None where the stock compiler's module cannot be emitted; `stock_problem` says why.
    """

    directory: Path
    emission: Emission
    stock: Emission | None
    stock_problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        return {
            "schema": 1,
            "directory": str(self.directory),
            "name": self.emission.layout.name,
            "target": self.emission.target.name,
            "files": sorted(self.emission.content),
            "serenity": describe(self.emission),
            "stock": describe(self.stock) if self.stock else None,
            "sizes_include_c": self.emission.measured,
        }


def describe(emission: Emission) -> dict[str, int | None]:
    """Return the bytes of an emission, and the numbers of its kernels, as JSON data."""
    sizes, program = emission.sizes, emission.layout.program
    return {
        "arena_bytes": emission.arena_bytes,
        "predicted_bytes": emission.predicted_bytes,
        "inputs_and_outputs_bytes": emission.layout.external_bytes,
        "inputs_and_outputs_in_arena": program.held is not None,
        "weights_bytes": emission.layout.weights_bytes,
        "text_bytes": sizes.text,
        "rodata_bytes": sizes.rodata,
        "data_bytes": sizes.data,
        "bss_bytes": sizes.bss,
        "kernels": len(program.kernels),
        "dispatches": sum(isinstance(command, Dispatch) for command in program.commands),
    }


def model_identifier(model: Any) -> str:
    """Return a C identifier for a model: its file's name without suffix."""
    stem = re.sub(r"\W", "_", Path(model_name(model)).stem, flags=re.ASCII)
    return stem if re.match(r"[A-Za-z]", stem) else f"model_{stem}"


def load_source(
    model: Any,
    directory: Path,
    function: str | None,
    flags: Sequence[str],
    fix_dims: Mapping[str, int] | None = None,
) -> Source:
    """Import a model and choose its entry point.

    Args:
      model: as `serenity_mlir.compile` takes it, example arguments aside.
      directory: where an import goes.
      function: the entry point; None for the only one.
      flags: of iree-compile.
      fix_dims: extents of dynamic dimensions, as in `serenity_mlir.compile`.

    Raises:
      SerenityError: it has several, and none is named (exit code 2), or its arguments are dynamic.
    """
    found = import_model(model, directory, fix_dims=fix_dims, flags=flags)
    title = os.path.basename(model_name(model))
    with shown_as(found.path, title, found.dimension_aliases):
        signatures = {one.name: one for one in read_signatures(found.path, flags)}
    names = ", ".join(signatures)
    if function is None and len(signatures) > 1:
        raise SerenityError(
            f"{title}: {len(signatures)} entry points, {names}; choose one with --function",
            exit_code=2,
        )
    chosen = signatures.get(function or next(iter(signatures), ""))
    if chosen is None:
        raise SerenityError(
            f"{title}: no entry point {function!r}; the module has {names or 'none'}", exit_code=2
        )
    for i, argument in enumerate(chosen.arguments):
        axes = [k for k, extent in enumerate(argument.shape or ()) if extent is None]
        if axes:
            terms = [found.dimension_names.get(f"arg{i}:axis{k}", f"arg{i}:axis{k}") for k in axes]
            remedy = " ".join(f"--fix-dim {term}=N" for term in dict.fromkeys(terms))
            raise SerenityError(
                f"{title}: dynamic sizes: argument {i} of {chosen.name} is {argument}; "
                f"fix it with {remedy}"
            )
    return Source(title, found, chosen)


# --- compiling ---------------------------------------------------------------


def _compile(
    source: Source,
    target: Target,
    flags: Sequence[str],
    serenity: SerenityOptions | None,
    directory: Path,
) -> tuple[Path, Path, Report | None]:
    """Compile to the ``hal`` phase; return the module, the object and the report."""
    from serenity_mlir.measuring.checking import compile_model

    module, library = directory / "module.mlirbc", directory / "kernels.o"
    everything = [
        *target.flags,
        *flags,
        f"--iree-llvmcpu-static-library-output-path={library}",
        "--compile-to=hal",
        "--emit-mlir-bytecode",
    ]
    said = io.StringIO()
    try:
        names = source.model.dimension_aliases
        with contextlib.redirect_stderr(said), shown_as(source.model.path, source.title, names):
            data = compile_model(source.model.path, module, everything, serenity)
    finally:
        for diagnostic in parse_diagnostics(said.getvalue()):
            if _KNOWN_WARNING not in diagnostic.message:
                print(diagnostic, file=sys.stderr)
    if not library.exists():
        library.write_bytes(b"")
    return module, library, parse_report(data) if data else None


def _check_kernels(program: Program, kernels: Mapping[str, Kernel]) -> None:
    for command in program.commands:
        if not isinstance(command, Dispatch):
            continue
        kernel = kernels.get(command.kernel)
        if kernel is None:
            raise SerenityError(
                f"{program.function}: kernel {command.kernel} is not in the library; it may have "
                "been compiled for another target"
            )
        if kernel.local_memory_pages:
            raise SerenityError(
                f"{program.function}: kernel {command.kernel} wants "
                f"{kernel.local_memory_pages * 4096:,} bytes of workgroup local memory, which is "
                "not part of the prediction; leave out the flags that tile for it"
            )
        given = (len(command.constants), len(command.bindings))
        if given != (kernel.constant_count, kernel.binding_count):
            raise SerenityError(
                f"{program.function}: kernel {command.kernel} takes {kernel.constant_count} "
                f"constants and {kernel.binding_count} bindings and is given {given[0]} and "
                f"{given[1]}; report this module"
            )


def emit(
    source: Source,
    name: str,
    target: Target,
    flags: Sequence[str],
    serenity: SerenityOptions | None,
    directory: Path,
    *,
    arena_holds_io: bool = False,
) -> Emission:
    """Compile a model and return it as C.

    Args:
      source: of `load_source`.
      name: prefix of all symbols, a C identifier.
      target: for which.
      flags: of iree-compile, after the target's.
      serenity: options; None compiles with the stock compiler.
      directory: an empty folder for the compilers' output.
      arena_holds_io: place the inputs and results in the arena (`hold_inputs_and_results`). Inputs
        are overwritten unless a flag ``--serenity-inputs=keep`` keeps them.

    Raises:
      SerenityError: the model does not compile, or cannot run without a host.
    """
    from iree.compiler import ir

    keep_inputs = "--serenity-inputs=keep" in flags
    if arena_holds_io and not any(flag.startswith("--serenity-inputs=") for flag in flags):
        flags = ["--serenity-inputs=overwrite", *flags]
    if arena_holds_io and serenity is not None:
        # The layout of the arena shares bytes among inputs and results itself.
        flags = ["--serenity-results-in-inputs=off", *flags]
    directory.mkdir(parents=True, exist_ok=True)
    module_path, library_path, report = _compile(source, target, flags, serenity, directory)
    with ir.Context():
        module = ir.Module.parse(module_path.read_bytes())
        known = entry_points(module)
        if source.signature.name not in known:
            raise SerenityError(f"{source.title}: {source.signature.name} was not compiled")
        types = [
            None if argument.shape is None else (argument.element, _static(argument.shape))
            for argument in source.signature.arguments
        ]
        program = read_program(
            module,
            source.signature.name,
            lambda operations: evaluate_constants(operations, directory),
            types,
        )
    if arena_holds_io:
        program = hold_inputs_and_results(program, _slab_region(report, program), keep_inputs)
    content = library_path.read_bytes()
    library = ElfObject(content, f"{name}.o") if content else None
    kernels = read_kernels(library) if library else {}
    _check_kernels(program, kernels)
    layout = Layout(name, program, kernels)
    math_functions: list[str] = []
    undefined: tuple[str, ...] = ()
    if library is not None:
        math_functions = _make_object(library, layout)
        own = {f"{name}_{function}" for function in math_functions}
        undefined = tuple(symbol for symbol in library.undefined() if symbol not in own)
    prediction = read_prediction(report, program.function)
    overwritten = set(prediction.overwritten_inputs) if prediction else set()
    overwritten.update(program.held.overwritten if program.held else ())
    files: dict[str, bytes] = {
        f"{name}.h": write_header(layout, source.title, sorted(overwritten)).encode(),
        f"{name}.c": write_source(layout, source.title, math_functions).encode(),
    }
    if library is not None:
        files[f"{name}.o"] = library.to_bytes()
    sizes, measured = _measure(name, target, files, layout, directory)
    files.update(_examples(layout, target, undefined))
    files["README.md"] = _readme(layout, target, source.title, undefined, files, sizes).encode()
    return Emission(layout, target, files, undefined, report, sizes, measured)


def _slab_region(report: Report | None, program: Program) -> RegionReport | None:
    """Return the report on the region whose slab is the arena; None without a single one."""
    if report is None:
        return None
    regions = [one for one in report.function(program.function).regions if one.operations]
    return regions[0] if len(regions) == 1 else None


def _static(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(extent or 0 for extent in shape)


def _make_object(library: ElfObject, layout: Layout) -> list[str]:
    """Turn the compiler's object into NAME.o; return the mathematical functions it calls."""
    name, program = layout.name, layout.program
    roots: list[Symbol] = []
    for i, kernel in enumerate(program.kernels):
        library.export(layout.kernels[kernel].symbol, f"{name}_kernel_{i}")
        roots.append(library.symbols[-1])
    library.keep_reachable(roots)
    if program.constants:
        library.add_object(f"{name}_weights", layout.weights(), f".rodata.{name}_weights", 64)
    called = [symbol for symbol in library.undefined() if symbol in MATH_FUNCTIONS]
    for function in called:
        library.rename(function, f"{name}_{function}")
    return called


def _measure(
    name: str, target: Target, files: Mapping[str, bytes], layout: Layout, directory: Path
) -> tuple[Sizes, bool]:
    objects = []
    if f"{name}.o" in files:
        objects.append(ElfObject(files[f"{name}.o"], f"{name}.o"))
    if shutil.which(target.compiler) is None:
        arrays = Sizes(bss=layout.separate_bytes + layout.program.arena_bytes)
        return measure_objects(objects) + arrays, False
    folder = directory / "c"
    folder.mkdir()
    for file, data in files.items():
        (folder / file).write_bytes(data)
    compiled = compile_c(target, folder, f"{name}.c", f"{name}_c.o")
    objects.append(ElfObject(compiled.read_bytes(), f"{name}.c"))
    return measure_objects(objects), True


# --- the files around it -----------------------------------------------------


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Replace every ``@KEY@`` of a template.

    Raises:
      KeyError: a key has no value.
    """
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], text)


def startup_values(target: Target) -> dict[str, str]:
    """Return the parts of C files that depend on the processor."""
    if not target.bare_metal:
        return {}
    return {
        "STARTUP": template(f"startup_{target.startup}.c").rstrip(),
        "HOST_CALL": template(f"semihosting_{target.startup}.c").rstrip(),
    }


def linker_script(target: Target) -> str:
    """Return the linker script of a target's emulated board."""
    return fill_in(
        template("link.ld"),
        {
            "TITLE": target.title,
            "FLASH_ORIGIN": f"0x{target.flash.origin:08X}",
            "FLASH_BYTES": str(target.flash.bytes),
            "RAM_ORIGIN": f"0x{target.ram.origin:08X}",
            "RAM_BYTES": str(target.ram.bytes),
        },
    )


def _inputs(layout: Layout) -> list[tuple[str, str]]:
    """Return array and bytes of every input that is used, as C names."""
    return [
        (f"{layout.name}_input_{i}", f"{layout.upper}_INPUT_{i}_BYTES")
        for i, tensor in enumerate(layout.program.inputs)
        if tensor is not None
    ]


def _outputs(layout: Layout) -> list[str]:
    return [f"{layout.name}_output_{i}" for i in range(len(layout.program.results))]


def _libraries(undefined: Sequence[str]) -> list[str]:
    """Return the functions that are in no C compiler's own library."""
    return [name for name in undefined if not name.startswith("__") and name not in _MEMORY]


_MEMORY = ("memcpy", "memmove", "memset")


def _examples(layout: Layout, target: Target, undefined: Sequence[str]) -> dict[str, bytes]:
    name = layout.name
    math_library = ["-lm"] if _libraries(undefined) else []
    values = {
        "NAME": name,
        "UPPER": layout.upper,
        "TITLE": target.title,
        "CC": target.compiler,
        "TARGET_FLAGS": " ".join(target.compiler_flags),
        "LINK_FLAGS": " ".join([*math_library, *target.link_flags]),
        "OBJECT": f" {name}.o" if layout.program.kernels or layout.program.constants else "",
        "EMULATOR": " ".join(target.emulator),
        "CLEAR_INPUTS": "\n".join(
            f"  memset({array}, 0, {size});" for array, size in _inputs(layout)
        ),
        "OUTPUTS": ", ".join(_outputs(layout)) or "none",
        **startup_values(target),
    }
    kind = "bare" if target.bare_metal else "host"
    files = {
        "main.c": fill_in(template(f"main_{kind}.c"), values).encode(),
        "Makefile": fill_in(template(f"Makefile.{kind}"), values).encode(),
    }
    if target.bare_metal:
        files[f"{name}.ld"] = linker_script(target).encode()
    return files


def _readme(
    layout: Layout,
    target: Target,
    title: str,
    undefined: Sequence[str],
    files: Mapping[str, bytes],
    sizes: Sizes,
) -> str:
    from serenity_mlir import __version__

    name = layout.name
    descriptions = ["| `main.c` | an example |", "| `Makefile` | builds it |"]
    if target.bare_metal:
        descriptions.insert(1, f"| `{name}.ld` | an example of a linker script |")
    memory = [f"| `{array.name}` | {array.bytes:,} | RAM, `.bss` |" for array in layout.arrays]
    if layout.program.arena_bytes:
        memory.append(f"| `{name}_arena` | {layout.program.arena_bytes:,} | RAM, `.bss` |")
    memory += [
        f"| `{array}` | {tensor.span.length:,} | in the arena, from byte {tensor.span.offset:,} |"
        for array, tensor in layout.held
    ]
    memory += [
        f"| weights | {layout.weights_bytes:,} | flash, `.rodata` |",
        f"| kernels' and tables' constants | {sizes.rodata - layout.weights_bytes:,} | "
        "flash, `.rodata` |",
        f"| code | {sizes.text:,} | flash, `.text` |",
    ]
    compiler = " ".join([target.compiler, *target.compiler_flags])
    script = f" -T {name}.ld" if target.bare_metal else ""
    objects = f"{name}.c" + (f" {name}.o" if f"{name}.o" in files else "")
    lines = [
        f"    {compiler} -O2 -ffunction-sections -fdata-sections main.c {objects}{script} "
        f"-Wl,--gc-sections {' '.join(target.link_flags)} -o {name}.elf".rstrip()
    ]
    if target.packages:
        lines += ["", f"On Debian or Ubuntu: `apt-get install {' '.join(target.packages)}`."]
    foreign = _libraries(undefined)
    own = [symbol for symbol in undefined if symbol not in foreign]
    needs = "The kernels call nothing outside this folder."
    if own:
        needs = f"The kernels call {', '.join(f'`{s}`' for s in own)} of the compiler's library."
    if foreign:
        needs += f" They need {', '.join(f'`{s}`' for s in foreign)} of the C library (`-lm`)."
    text = fill_in(
        template("README.md"),
        {
            "NAME": name,
            "UPPER": layout.upper,
            "TITLE": target.title,
            "TARGET": target.name,
            "MODEL": f"`{title}`",
            "VERSION": __version__,
            "IREE_VERSION": _iree_version(),
            "FILES": "\n".join(descriptions),
            "INPUTS": ", ".join(array for array, _ in _inputs(layout)) or "no inputs",
            "OUTPUTS": ", ".join(_outputs(layout)) or "no outputs",
            "MEMORY": "\n".join(memory),
            "ARENA_SYMBOL": layout.arena,
            "ARENA_HOLDS": _ARENA_HOLDS_IO if layout.held else _ARENA_HOLDS_TRANSIENTS,
            "LINK": "\n".join(lines),
            "UNDEFINED": needs,
        },
    )
    sums = [f"{_sum(data)} {file}" for file, data in sorted(files.items())]
    return text + _MANIFEST + "\n".join([*sums, f"{_sum(text.encode())} README.md"]) + "\n-->\n"


_ARENA_HOLDS_TRANSIENTS = (
    "The arena is all transient memory there is: the slab that the compiler predicted and laid out."
)
_ARENA_HOLDS_IO = (
    "The arena is all memory there is but constants: the slab that the compiler predicted and laid "
    "out, and the inputs and outputs, which share\nbytes with it and with each other. Read the "
    "outputs before you write the next inputs, and write all inputs before each call."
)

#: Ends the README: checksums of the written files, by which a later run knows them again.
_MANIFEST = "\n<!-- serenity emit-c:\n"


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _iree_version() -> str:
    from importlib.metadata import version

    return version("iree-base-compiler")


# --- writing -----------------------------------------------------------------


def _refuse_foreign(directory: Path, names: Sequence[str]) -> None:
    """Raise unless emit-c wrote every file that would be replaced, and none was changed since."""
    known: set[str] = set()
    readme = directory / "README.md"
    if readme.is_file():
        text, _, manifest = readme.read_text("utf-8", "replace").partition(_MANIFEST)
        known = set(manifest.splitlines())
        if f"{_sum(text.encode())} README.md" not in known:
            known = set()
    for name in names:
        path = directory / name
        if not os.path.lexists(path) or (name == "README.md" and known):
            continue
        if path.is_file() and f"{_sum(path.read_bytes())} {name}" in known:
            continue
        raise SerenityError(
            f"{path}: not written by emit-c, or changed since; choose another folder or move it",
            exit_code=2,
        )


def write_directory(directory: Path, content: Mapping[str, bytes]) -> None:
    """Write files to a folder: a new folder appears complete or not at all.

    Raises:
      SerenityError: the folder has files of these names that emit-c did not write (exit code 2),
        or cannot be written to.
    """
    try:
        if os.path.lexists(directory):
            if not directory.is_dir():
                raise SerenityError(f"{directory}: not a folder", exit_code=2)
            _refuse_foreign(directory, list(content))
            # The README, which vouches for the others, comes last.
            for name in sorted(content, key=lambda name: name == "README.md"):
                write_whole(directory / name, content[name])
            return
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name[:64]}."))
        try:
            for name, data in content.items():
                (temporary / name).write_bytes(data)
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o777 & ~mask)
            temporary.rename(directory)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise SerenityError(
            f"{error.filename or directory}: {error.strerror}", exit_code=2
        ) from None


def emit_c(
    model: Any,
    directory: str | os.PathLike[str],
    target: str,
    *,
    name: str | None = None,
    function: str | None = None,
    flags: Sequence[str] = (),
    serenity: SerenityOptions | None = None,
    serenity_flags: Sequence[str] = (),
    fix_dims: Mapping[str, int] | None = None,
    arena_holds_io: bool = False,
) -> Emitted:
    """Compile a model for a processor without an operating system, as C and an object.

    Args:
      model: as `serenity_mlir.compile` takes it, example arguments aside.
      directory: the folder to write; made if it is not there.
      target: one of `targets.TARGETS`.
      name: prefix of all symbols and of the files; by default from the model's name.
      function: the entry point, where there are several.
      flags: of iree-compile, for both compilers.
      serenity: options.
      serenity_flags: ``--serenity-*`` flags.
      fix_dims: extents of dynamic dimensions, as in `serenity_mlir.compile`.
      arena_holds_io: place the inputs and results in the arena, as in `emit`.

    Returns:
      The written project, with the bytes of the stock compiler's result beside.

    Raises:
      SerenityError: the model does not compile or needs a host (exit code 1), or the folder has
        files that emit-c did not write (2). Nothing is written then.
    """
    chosen = target_named(target)
    prefix = name or model_identifier(model)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", prefix):
        raise SerenityError(f"{prefix!r} is no prefix of C identifiers", exit_code=2)
    with tempfile.TemporaryDirectory(prefix="serenity-emit-") as temporary:
        work = Path(temporary)
        source = load_source(model, work, function, flags, fix_dims)
        options = serenity or SerenityOptions()
        emission = emit(
            source,
            prefix,
            chosen,
            [*flags, *serenity_flags],
            options,
            work / "serenity",
            arena_holds_io=arena_holds_io,
        )
        stock, problem = None, ""
        try:
            stock = emit(source, prefix, chosen, flags, None, work / "stock")
        except SerenityError as error:
            problem = str(error).splitlines()[0]
        write_directory(Path(directory), emission.content)
    return Emitted(Path(directory), emission, stock, problem)
