# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small functions with loops and branches on the host, one for every way of a value.

Every function takes a tensor and a number, on which trip counts and conditions may depend, and
returns tensors. Values begin as arguments, constants and products, cross loops, branches and calls,
and end as results or not.
"""

from __future__ import annotations

import re

TYPE = "tensor<16x16xf32>"

_HEAD = """
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c6 = arith.constant 6 : index
  %count = arith.index_cast %n : i32 to index
  %w = arith.constant dense<0.01> : T
  %splat = arith.constant dense<0.0> : T
  %empty = tensor.empty() : T
  %fill = linalg.fill ins(%zero : f32) outs(%empty : T) -> T
"""


def _product(result: str, left: str, right: str = "%w") -> str:
    return f"{result} = linalg.matmul ins({left}, {right} : T, T) outs(%fill : T) -> T\n"


def _counted(start: str, body: str, result: str = "%r", bound: str = "%c6") -> str:
    return (
        f"{result} = scf.for %i = %c0 to {bound} step %c1 iter_args(%a = {start}) -> (T) {{\n"
        f"{body}  scf.yield %b : T\n}}\n"
    )


def _chosen(then: str, otherwise: str) -> str:
    return (
        "%big = arith.cmpi sgt, %count, %c1 : index\n"
        f"%r = scf.if %big -> (T) {{\n{then}}} else {{\n{otherwise}}}\n"
    )


_TWO = _product("%m", "%a") + _product("%b", "%m")
_PAIR = "scf.for %i = %c0 to %c6 step %c1 iter_args(%a = {}, %q = {}) -> (T, T) {{\n"
_THEN = _product("%m", "%x") + _product("%b", "%m") + "scf.yield %b : T\n"

#: Bodies whose memory is the same in every call.
CONSTANT = {
    "from_argument": _counted("%x", _TWO) + "return %r : T",
    "from_splat": _counted("%splat", _TWO) + "return %r : T",
    "one_iteration": _counted("%splat", _TWO, bound="%c1") + "return %r : T",
    "no_iteration": _counted("%splat", _TWO, bound="%c0") + "return %r : T",
    "used_after": _counted("%x", _TWO) + _product("%s", "%r") + "return %s : T",
    "two_carried": "%r:2 = "
    + _PAIR.format("%splat", "%x")
    + _product("%b", "%a", "%q")
    + _product("%c", "%q", "%b")
    + "scf.yield %b, %c : T, T\n}\n"
    + _product("%s", "%r#0", "%r#1")
    + "return %s : T",
    "swapped": _product("%y", "%x")
    + "%r:2 = "
    + _PAIR.format("%y", "%x")
    + _product("%b", "%a", "%q")
    + "scf.yield %b, %a : T, T\n}\n"
    + _product("%s", "%r#0", "%r#1")
    + "return %s : T",
    # The first %q is made by the dispatch of the first result, and read by nothing.
    "replaced_beside_a_result": "%y = arith.addf %x, %x : T\n%z = arith.addf %x, %y : T\n"
    + "%r = scf.for %i = %c0 to %c6 step %c1 iter_args(%q = %y) -> (T) {\n"
    + _product("%b", "%x")
    + "scf.yield %b : T\n}\n"
    + _product("%s", "%r")
    + "return %z, %s : T, T",
    "nested": _counted(
        "%splat",
        _product("%m", "%a")
        + "%b = scf.for %j = %c0 to %c6 step %c1 iter_args(%v = %m) -> (T) {\n"
        + _product("%u", "%v", "%a")
        + "scf.yield %u : T\n}\n",
    )
    + "return %r : T",
    "one_after_the_other": _counted("%x", _product("%b", "%a"))
    + _counted("%r", _product("%b", "%a", "%r"), "%r2")
    + "return %r2 : T",
    "chosen_then_used": _chosen(_THEN, "scf.yield %splat : T\n")
    + _product("%s", "%r")
    + "return %s : T",
}

#: Bodies whose memory depends on the number.
OPEN = {
    "open_from_argument": _counted("%x", _TWO, bound="%count") + "return %r : T",
    "open_from_splat": _counted("%splat", _TWO, bound="%count") + "return %r : T",
    "chosen_or_constant": _chosen(_THEN, "scf.yield %splat : T\n") + "return %r : T",
    "chosen_or_argument": _chosen(_THEN, "scf.yield %x : T\n") + "return %r : T",
    "choice_in_a_loop": _counted(
        "%splat",
        "%big = arith.cmpi sgt, %i, %count : index\n"
        "%b = scf.if %big -> (T) {\n"
        + _product("%m", "%a")
        + _product("%c", "%m")
        + "scf.yield %c : T\n} else {\n"
        + _product("%m", "%x", "%a")
        + "scf.yield %m : T\n}\n",
    )
    + "return %r : T",
    "while_": "%r:2 = scf.while (%a = %splat, %i = %c0) : (T, index) -> (T, index) {\n"
    "%more = arith.cmpi slt, %i, %count : index\n"
    "scf.condition(%more) %a, %i : T, index\n} do {\n^bb0(%a: T, %i: index):\n"
    + _TWO
    + "%next = arith.addi %i, %c1 : index\nscf.yield %b, %next : T, index\n}\n"
    "return %r#0 : T",
}


def _result_types(body: str) -> str:
    return body.rpartition(" : ")[2]


def module(bodies: dict[str, str]) -> str:
    """One module with a function per body."""
    functions = (
        f"func.func @{name}(%x: T, %n: i32) -> ({_result_types(body)}) {{{_HEAD}{body}\n}}"
        for name, body in bodies.items()
    )
    return re.sub(r"\bT\b", TYPE, "\n".join(functions))
