# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One emitter per kind of operation: writes it with the means of a `Printer`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from serenity_mlir.fuzzing import quantising
from serenity_mlir.fuzzing.printing import SCALARS, Printer, affine_map_text, dense, identity_map
from serenity_mlir.fuzzing.program import Operation, Type

__all__ = ["EMITTERS"]


def _constant(p: Printer, op: Operation) -> None:
    of = op.results[0].type
    p.result(op, f"arith.constant {dense(op.attributes['data'], of)} : {of}")


def _splat(p: Printer, op: Operation) -> None:
    p.names[op.results[0]] = p.filled(op.results[0].type, op.attributes["value"])


def _elementwise(p: Printer, op: Operation) -> None:
    """`function` of operands of one shape; `style` says in which dialect."""
    function, style = op.attributes["function"], op.attributes["style"]
    of = op.results[0].type
    if style == "tensor":
        operands = [p.names[value] for value in op.operands]
        p.names[op.results[0]] = p.scalar(function, operands, str(of), of.element)
    elif style == "map":
        # The named elementwise operations of linalg differ between the supported releases.
        _, for_floats, for_integers = SCALARS[function]
        name = (for_floats if of.is_float else for_integers).split()[0]
        names, types = p.listed(op.operands)
        empty = p.empty(of)
        p.result(op, f"linalg.map {{ {name} }} ins({names} : {types}) outs({empty} : {of})")
    else:
        _mapped(p, op, [function])


def _mapped(p: Printer, op: Operation, functions: Sequence[str]) -> None:
    """A generic of elementwise functions; `dims` per operand are the dimensions that it has."""
    of = op.results[0].type
    dims = op.attributes.get("dims") or [list(range(of.rank)) for _ in op.operands]
    maps = [affine_map_text(of.rank, [f"d{i}" for i in axes]) for axes in dims]
    maps += [identity_map(of.rank)] * len(op.results)
    outputs = [p.empty(value.type) for value in op.results]

    def body(arguments: list[str]) -> list[str]:
        return [
            p.scalar(name, arguments[: SCALARS[name][0]], of.element, of.element)
            for name in functions
        ]

    p.generic(op, maps, ["parallel"] * of.rank, op.operands, outputs, body)


def _several(p: Printer, op: Operation) -> None:
    _mapped(p, op, op.attributes["functions"])


def _cast(p: Printer, op: Operation) -> None:
    source, target = op.operands[0].type, op.results[0].type
    widths = {"i1": 1, "i8": 8, "f16": 16, "bf16": 16, "i32": 32, "f32": 32, "i64": 64}
    wider = widths[target.element] > widths[source.element]
    if source.is_float and target.is_float:
        name = "arith.extf" if wider else "arith.truncf"
    elif target.is_float:
        name = "arith.sitofp"
    else:
        name = "arith.extsi" if wider else "arith.trunci"
    identity = identity_map(target.rank)
    empty = p.empty(target)

    def body(arguments: list[str]) -> list[str]:
        return [p.define(f"{name} {arguments[0]} : {source.element} to {target.element}")]

    p.generic(op, [identity] * 2, ["parallel"] * target.rank, op.operands, [empty], body)


def _start(p: Printer, op: Operation, inputs: int) -> str:
    """The accumulator of a product: an operand after the inputs, or zeros."""
    if len(op.operands) > inputs:
        return p.names[op.operands[inputs]]
    return p.filled(op.results[0].type, 0)


def _named(p: Printer, op: Operation) -> None:
    """A named contraction or convolution: `name`, and the text of its attributes."""
    outs = _start(p, op, 2)
    names, types = p.listed(op.operands[:2])
    of = op.results[0].type
    extra = op.attributes.get("text", "")
    p.result(
        op,
        f"linalg.{op.attributes['name']}{extra} ins({names} : {types}) outs({outs} : {of}) -> {of}",
    )


def _pool(p: Printer, op: Operation) -> None:
    of = op.results[0].type
    window = Type(tuple(op.attributes["window"]), of.element)
    maximum = "max" in op.attributes["name"]
    least = {"f32": -1024.0, "f16": -1024.0, "bf16": -1024.0, "i8": -128, "i32": -(2**20)}
    outs = p.filled(of, least[of.element] if maximum else 0)
    shape = p.empty(window)
    source = op.operands[0]
    p.result(
        op,
        f"linalg.{op.attributes['name']}{op.attributes['text']} ins({p.names[source]}, {shape} : "
        f"{source.type}, {window}) outs({outs} : {of}) -> {of}",
    )


def _product(p: Printer, op: Operation) -> None:
    """A matrix product as a generic, with the second operand transposed."""
    outs = _start(p, op, 2)
    maps = [
        affine_map_text(3, ["d0", "d2"]),
        affine_map_text(3, ["d1", "d2"]),
        affine_map_text(3, ["d0", "d1"]),
    ]
    of = op.results[0].type
    kind = "f" if of.is_float else "i"

    def body(arguments: list[str]) -> list[str]:
        factors = arguments[:2]
        for i, value in enumerate(op.operands[:2]):
            if value.type.element != of.element:
                widen = "arith.extf" if of.is_float else "arith.extsi"
                factors[i] = p.define(
                    f"{widen} {factors[i]} : {value.type.element} to {of.element}"
                )
        product = p.define(f"arith.mul{kind} {factors[0]}, {factors[1]} : {of.element}")
        return [p.define(f"arith.add{kind} {arguments[2]}, {product} : {of.element}")]

    p.generic(op, maps, ["parallel", "parallel", "reduction"], op.operands[:2], [outs], body)


def _reduce(p: Printer, op: Operation) -> None:
    source, of = op.operands[0].type, op.results[0].type
    axis = op.attributes["axis"]
    kept = [f"d{i}" for i in range(source.rank) if i != axis]
    maps = [
        identity_map(source.rank),
        affine_map_text(source.rank, kept),
    ]
    iterators = ["reduction" if i == axis else "parallel" for i in range(source.rank)]
    outs = p.filled(of, 0)

    def body(arguments: list[str]) -> list[str]:
        return [p.scalar(op.attributes["function"], arguments, of.element, of.element)]

    p.generic(op, maps, iterators, op.operands, [outs], body)


def _broadcast(p: Printer, op: Operation) -> None:
    of = op.results[0].type
    maps = [
        affine_map_text(of.rank, [f"d{i}" for i in op.attributes["dims"]]),
        identity_map(of.rank),
    ]
    empty = p.empty(of)
    p.generic(op, maps, ["parallel"] * of.rank, op.operands, [empty], lambda args: args[:1])


def _transpose(p: Printer, op: Operation) -> None:
    source, of = op.operands[0], op.results[0].type
    empty = p.empty(of)
    # linalg.transpose prints no arrow: its result type is that of `outs`.
    p.result(
        op,
        f"linalg.transpose ins({p.names[source]} : {source.type}) outs({empty} : {of}) "
        f"permutation = {list(op.attributes['permutation'])}",
    )


def _concat(p: Printer, op: Operation) -> None:
    """A concatenation, as `tensor.concat` or as a chain of insertions."""
    of, axis = op.results[0].type, op.attributes["axis"]
    if op.attributes["style"] == "concat":
        names, types = p.listed(op.operands)
        p.result(op, f"tensor.concat dim({axis}) {names} : ({types}) -> {of}")
        return
    whole = p.empty(of)
    offset = 0
    for value in op.operands:
        offsets = ", ".join(str(offset if i == axis else 0) for i in range(of.rank))
        whole = p.define(
            f"tensor.insert_slice {p.names[value]} into {whole}[{offsets}] "
            f"[{p.extents(value.type.dims)}] [{', '.join(['1'] * of.rank)}] : "
            f"{value.type} into {of}"
        )
        offset += value.type.dims[axis] or 0
    p.names[op.results[0]] = whole


def _slice(p: Printer, op: Operation) -> None:
    """A slice; a second operand is the offset in dimension `axis`."""
    source, of = op.operands[0], op.results[0].type
    offsets = list(map(str, op.attributes["offsets"]))
    if len(op.operands) == 2:
        offsets[op.attributes.get("axis", 0)] = p.as_index(op.operands[1])
    p.result(
        op,
        f"tensor.extract_slice {p.names[source]}[{', '.join(offsets)}] "
        f"[{p.extents(of.dims)}] [{', '.join(map(str, op.attributes['strides']))}] : "
        f"{source.type} to {of}",
    )


def _insert(p: Printer, op: Operation) -> None:
    """An insertion; a third operand is the offset in dimension `axis`."""
    part, whole = op.operands[:2]
    offsets = list(map(str, op.attributes["offsets"]))
    if len(op.operands) == 3:
        offsets[op.attributes.get("axis", 0)] = p.as_index(op.operands[2])
    p.result(
        op,
        f"tensor.insert_slice {p.names[part]} into {p.names[whole]}[{', '.join(offsets)}] "
        f"[{p.extents(part.type.dims)}] [{', '.join(['1'] * whole.type.rank)}] : "
        f"{part.type} into {whole.type}",
    )


def _spread(p: Printer, op: Operation) -> None:
    """The elements of a static tensor, `strides` apart from `offsets` on, between zeros."""
    part, of = op.operands[0], op.results[0].type
    zeros = p.filled(of, 0)
    p.result(
        op,
        f"tensor.insert_slice {p.names[part]} into {zeros}{op.attributes['offsets']} "
        f"[{p.extents(part.type.dims)}] {op.attributes['strides']} : {part.type} into {of}",
    )


def _reshape(p: Printer, op: Operation) -> None:
    source, of = op.operands[0], op.results[0].type
    groups = op.attributes["groups"]
    if of.rank > source.type.rank:
        p.result(
            op,
            f"tensor.expand_shape {p.names[source]} {groups} "
            f"output_shape [{p.extents(of.dims)}] : {source.type} into {of}",
        )
    else:
        p.result(op, f"tensor.collapse_shape {p.names[source]} {groups} : {source.type} into {of}")


def _pad(p: Printer, op: Operation) -> None:
    source, of = op.operands[0], op.results[0].type
    value = p.constant(op.attributes["value"], of.element)
    low, high = (", ".join(map(str, op.attributes[side])) for side in ("low", "high"))
    p.result(op, f"tensor.pad {p.names[source]} low[{low}] high[{high}] {{")
    arguments = ", ".join(f"{p.fresh()}: index" for _ in range(of.rank))
    p.line(f"^bb0({arguments}):")
    p.line(f"  tensor.yield {value} : {of.element}")
    p.line(f"}} : {source.type} to {of}")


def _reverse(p: Printer, op: Operation) -> None:
    """A gather: the rows in reverse."""
    source, of = op.operands[0], op.results[0].type
    last = p.index((of.dims[0] or 1) - 1)
    empty = p.empty(of)

    def body(arguments: list[str]) -> list[str]:
        indices = [p.define(f"linalg.index {i} : index") for i in range(of.rank)]
        indices[0] = p.define(f"arith.subi {last}, {indices[0]} : index")
        name = p.names[source]
        return [p.define(f"tensor.extract {name}[{', '.join(indices)}] : {source.type}")]

    identity = identity_map(of.rank)
    p.generic(op, [identity], ["parallel"] * of.rank, [], [empty], body)


def _gather(p: Printer, op: Operation) -> None:
    """Rows of a table (or parts along `axis`) by a tensor of indices of one dimension."""
    table, indices = op.operands
    of, axis = op.results[0].type, op.attributes["axis"]
    maps = [affine_map_text(of.rank, [f"d{axis}"]), identity_map(of.rank)]
    empty = p.empty(of)

    def body(arguments: list[str]) -> list[str]:
        places = [
            p.define(f"arith.index_cast {arguments[0]} : {indices.type.element} to index")
            if i == axis
            else p.define(f"linalg.index {i} : index")
            for i in range(of.rank)
        ]
        name = p.names[table]
        return [p.define(f"tensor.extract {name}[{', '.join(places)}] : {table.type}")]

    p.generic(op, maps, ["parallel"] * of.rank, [indices], [empty], body)


def _barrier(p: Printer, op: Operation) -> None:
    value = op.operands[0]
    p.result(op, f"util.optimization_barrier {p.names[value]} : {value.type}")


def _extract(p: Printer, op: Operation) -> None:
    source = op.operands[0]
    zero = p.index(0)
    indices = ", ".join([zero] * source.type.rank)
    p.result(op, f"tensor.extract {p.names[source]}[{indices}] : {source.type}")


def _if(p: Printer, op: Operation) -> None:
    condition = op.operands[0]
    zero = p.constant(0, condition.type.element)
    compare = "arith.cmpf ogt" if condition.type.is_float else "arith.cmpi sgt"
    truth = p.define(f"{compare}, {p.names[condition]}, {zero} : {condition.type}")
    types = ", ".join(str(value.type) for value in op.results)
    several = f"({types})"
    # Values of the blocks are printed before the results have names of their own.
    for value in op.results:
        p.names[value] = p.fresh()
    names = ", ".join(p.names[value] for value in op.results)
    p.line(f"{names} = scf.if {truth} -> {several} {{")
    p.nested(op.blocks[0])
    p.line("} else {")
    p.nested(op.blocks[1])
    p.line("}")


def _for(p: Printer, op: Operation) -> None:
    """`operands` are the initial values, and the trip count last if it is dynamic."""
    block = op.blocks[0]
    carried = op.operands[: len(op.results)]
    first, step = p.index(0), p.index(1)
    if "trips" in op.attributes:
        last = p.index(op.attributes["trips"])
    else:
        count = op.operands[-1]
        last = p.define(f"arith.index_cast {p.names[count]} : {count.type} to index")
    for value in [*op.results, *block.arguments]:
        p.names[value] = p.fresh()
    names = ", ".join(p.names[value] for value in op.results)
    pairs = ", ".join(
        f"{p.names[inner]} = {p.names[outer]}"
        for inner, outer in zip(block.arguments[1:], carried, strict=True)
    )
    types = ", ".join(str(value.type) for value in op.results)
    p.line(
        f"{names} = scf.for {p.names[block.arguments[0]]} = {first} to {last} step {step} "
        f"iter_args({pairs}) -> ({types}) {{"
    )
    p.nested(block)
    p.line("}")


def _call(p: Printer, op: Operation) -> None:
    names, types = p.listed(op.operands)
    results = ", ".join(str(value.type) for value in op.results)
    p.result(
        op, f"func.call @{p.prefix}{op.attributes['callee']}({names}) : ({types}) -> ({results})"
    )


def _load(p: Printer, op: Operation) -> None:
    p.result(op, f"util.global.load @{p.prefix}{op.attributes['name']} : {op.results[0].type}")


def _store(p: Printer, op: Operation) -> None:
    value = op.operands[0]
    p.line(f"util.global.store {p.names[value]}, @{p.prefix}{op.attributes['name']} : {value.type}")


EMITTERS: dict[str, Callable[[Printer, Operation], None]] = {
    "constant": _constant,
    "splat": _splat,
    "elementwise": _elementwise,
    "several": _several,
    "cast": _cast,
    "named": _named,
    "pool": _pool,
    "product": _product,
    "reduce": _reduce,
    "broadcast": _broadcast,
    "transpose": _transpose,
    "concat": _concat,
    "slice": _slice,
    "insert": _insert,
    "spread": _spread,
    "reshape": _reshape,
    "pad": _pad,
    "reverse": _reverse,
    "gather": _gather,
    "quantise": quantising.quantise,
    "dequantise": quantising.dequantise,
    "requantise": quantising.requantise,
    "barrier": _barrier,
    "extract": _extract,
    "if": _if,
    "for": _for,
    "call": _call,
    "global_load": _load,
    "global_store": _store,
}
