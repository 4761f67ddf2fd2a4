# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions of C's ``math.h`` that LLVM calls where a processor has no instruction for them.

Kernels call them by their standard names. The emitted code brings its own, under the model's
prefix, so that a firmware needs no mathematics library and keeps its own functions.
"""

from __future__ import annotations

__all__ = ["MATH_FUNCTIONS", "RUNTIME_PREFIXES", "define_math_function"]

#: How the functions of the compiler's own runtime library (libgcc, compiler-rt) begin, which every
#: C compiler links.
RUNTIME_PREFIXES = ("__aeabi_", "__")

#: Suffix of the function, integer of the same width, bits of exponent and of mantissa.
_FORMATS = {"float": ("f", "uint32_t", 8, 23), "double": ("", "uint64_t", 11, 52)}

_MAXIMUM = """\
{type} {prefix}fmax{f}({type} x, {type} y);
{type} {prefix}fmax{f}({type} x, {type} y) {{
  if (x != x) {{
    return y;
  }}
  return y != y || x >= y ? x : y;
}}
"""

_MINIMUM = """\
{type} {prefix}fmin{f}({type} x, {type} y);
{type} {prefix}fmin{f}({type} x, {type} y) {{
  if (x != x) {{
    return y;
  }}
  return y != y || x <= y ? x : y;
}}
"""

# The fraction's bits are cleared; the part cut off decides about the correction.
_TRUNCATED = """\
static {type} {prefix}cut{f}({type} x) {{
  {word} bits;
  int exponent;
  memcpy(&bits, &x, sizeof bits);
  exponent = (int)(bits >> {mantissa} & {exponents}) - {bias};
  if (exponent < 0) {{
    bits &= ({word})1 << {sign};
  }} else if (exponent < {mantissa}) {{
    bits &= ~((({word})1 << ({mantissa} - exponent)) - 1);
  }}
  memcpy(&x, &bits, sizeof x);
  return x;
}}
"""

_TRUNC = """\
{type} {prefix}trunc{f}({type} x);
{type} {prefix}trunc{f}({type} x) {{ return {prefix}cut{f}(x); }}
"""

_FLOOR = """\
{type} {prefix}floor{f}({type} x);
{type} {prefix}floor{f}({type} x) {{
  {type} whole = {prefix}cut{f}(x);
  return whole > x ? whole - 1 : whole;
}}
"""

_CEIL = """\
{type} {prefix}ceil{f}({type} x);
{type} {prefix}ceil{f}({type} x) {{
  {type} whole = {prefix}cut{f}(x);
  return whole < x ? whole + 1 : whole;
}}
"""

_ROUND = """\
{type} {prefix}round{f}({type} x);
{type} {prefix}round{f}({type} x) {{
  {type} whole = {prefix}cut{f}(x), rest = x - whole;
  if (rest >= ({type})0.5) {{
    return whole + 1;
  }}
  return rest <= ({type})-0.5 ? whole - 1 : whole;
}}
"""

_ROUND_EVEN = """\
{type} {prefix}{name}{f}({type} x);
{type} {prefix}{name}{f}({type} x) {{
  {type} whole = {prefix}cut{f}(x), rest = x - whole, half = whole / 2;
  int odd = half != {prefix}cut{f}(half);
  if (rest > ({type})0.5 || (odd && rest == ({type})0.5)) {{
    return whole + 1;
  }}
  return rest < ({type})-0.5 || (odd && rest == ({type})-0.5) ? whole - 1 : whole;
}}
"""

_BODIES = {
    "fmax": _MAXIMUM,
    "fmin": _MINIMUM,
    "trunc": _TRUNC,
    "floor": _FLOOR,
    "ceil": _CEIL,
    "round": _ROUND,
    # Without a way to change the mode of rounding, all three are the same.
    "roundeven": _ROUND_EVEN,
    "rint": _ROUND_EVEN,
    "nearbyint": _ROUND_EVEN,
}

#: The functions that `define_math_function` knows.
MATH_FUNCTIONS = frozenset(name + suffix for name in _BODIES for suffix in ("", "f"))


def _format(text: str, name: str, prefix: str) -> str:
    kind = "float" if name.endswith("f") else "double"
    suffix, word, exponent_bits, mantissa = _FORMATS[kind]
    exponents = (1 << exponent_bits) - 1
    return text.format(
        type=kind,
        f=suffix,
        word=word,
        name=name.removesuffix("f") if kind == "float" else name,
        prefix=prefix,
        mantissa=mantissa,
        exponents=exponents,
        bias=exponents // 2,
        sign=exponent_bits + mantissa,
    )


def define_math_function(name: str, prefix: str, helpers: set[str]) -> str:
    """Return the definition in C of ``PREFIXname``.

    Args:
      name: one of `MATH_FUNCTIONS`.
      prefix: of its name.
      helpers: the static functions that were defined before; those of this one are added.
    """
    body = _BODIES[name.removesuffix("f")]
    text = ""
    if "cut{f}" in body:
        helper = _format("{prefix}cut{f}", name, prefix)
        if helper not in helpers:
            helpers.add(helper)
            text = _format(_TRUNCATED, name, prefix) + "\n"
    return text + _format(body, name, prefix)
