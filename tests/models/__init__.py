# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small modules of every kind that serenity must handle and was not tuned for.

Each function returns MLIR text; `MODELS` has all of them by name. Weights are
drawn from a seed and printed in full, since splat constants would fold away.
The forms are those of the importers: StableHLO as JAX exports it, the torch
dialect with weights in globals as iree-turbine exports it, linalg otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

MODELS: dict[str, Callable[[], str]] = {}


def _model(function: Callable[[], str]) -> Callable[[], str]:
    MODELS[function.__name__] = function
    return function


def tensor_type(shape: tuple[int, ...], element: str = "f32") -> str:
    return f"tensor<{'x'.join(map(str, shape))}x{element}>"


def weights(seed: int, shape: tuple[int, ...]) -> str:
    """Return a float32 constant attribute of He-scaled random values."""
    rng = np.random.default_rng(seed)
    array = rng.standard_normal(shape, dtype=np.float32)
    array *= np.float32(np.sqrt(2.0 / max(1, int(np.prod(shape[:-1])))))
    return f'dense<"0x{array.tobytes().hex().upper()}"> : {tensor_type(shape)}'


def int8_weights(seed: int, shape: tuple[int, ...]) -> str:
    array = np.random.default_rng(seed).integers(-127, 128, shape, dtype=np.int8)
    return f'dense<"0x{array.tobytes().hex().upper()}"> : {tensor_type(shape, "i8")}'


# --- importers ---------------------------------------------------------------


def _stablehlo_conv(name: str, operand: str, channels: int, weight: str, shape, groups=1) -> str:
    n, h, w, out = shape
    kernel = (3, 3, channels // groups, out)
    return f"""
    {name} = stablehlo.convolution({operand}, {weight})
      dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f],
      window = {{pad = [[1, 1], [1, 1]]}}
      {{batch_group_count = 1 : i64, feature_group_count = {groups} : i64}}
      : ({tensor_type((n, h, w, channels))}, {tensor_type(kernel)}) -> {tensor_type(shape)}"""


@_model
def jax_nhwc() -> str:
    """A cell with skip connections and concatenations, as JAX exports it: NHWC StableHLO."""
    image = tensor_type((1, 16, 16, 8))
    return f"""
module @jit_cell {{
  func.func public @main(%arg0: {image}) -> ({tensor_type((1, 16, 16, 8))}) {{
    %w0 = stablehlo.constant {weights(1, (3, 3, 8, 16))}
    %w1 = stablehlo.constant {weights(2, (3, 3, 8, 16))}
    %w2 = stablehlo.constant {weights(3, (3, 3, 1, 40))}
    %w3 = stablehlo.constant {weights(4, (3, 3, 40, 8))}
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    {_stablehlo_conv("%0", "%arg0", 8, "%w0", (1, 16, 16, 16))}
    %z = stablehlo.broadcast_in_dim %zero, dims = [] : (tensor<f32>) -> tensor<1x16x16x16xf32>
    %1 = stablehlo.maximum %0, %z : tensor<1x16x16x16xf32>
    {_stablehlo_conv("%2", "%arg0", 8, "%w1", (1, 16, 16, 16))}
    %3 = stablehlo.maximum %2, %z : tensor<1x16x16x16xf32>
    %4 = "stablehlo.concatenate"(%1, %arg0, %3) {{dimension = 3 : i64}}
      : (tensor<1x16x16x16xf32>, {image}, tensor<1x16x16x16xf32>) -> tensor<1x16x16x40xf32>
    {_stablehlo_conv("%5", "%4", 40, "%w2", (1, 16, 16, 40), 40)}
    {_stablehlo_conv("%6", "%5", 40, "%w3", (1, 16, 16, 8))}
    %7 = stablehlo.add %6, %arg0 : {image}
    return %7 : {image}
  }}
}}
"""


@_model
def torch_nchw() -> str:
    """A concatenation between convolutions, weights and biases in globals: a torch export."""

    def vtensor(*shape: int) -> str:
        return f"!torch.vtensor<[{','.join(map(str, shape))}],f32>"

    parameters = {
        "conv1.weight": (12, 6, 3, 3),
        "conv1.bias": (12,),
        "conv2.weight": (12, 6, 1, 1),
        "conv2.bias": (12,),
        "conv3.weight": (6, 24, 3, 3),
        "conv3.bias": (6,),
    }
    text = ""
    loads = ""
    for seed, (name, shape) in enumerate(parameters.items(), 10):
        symbol, value = f'@"__auto.{name}"', "%" + name.replace(".", "_")
        text += f"\n  util.global private {symbol} = {weights(seed, shape)}"
        loads += f"""
    {value}_t = util.global.load {symbol} : {tensor_type(shape)}
    {value} = torch_c.from_builtin_tensor {value}_t : {tensor_type(shape)} -> {vtensor(*shape)}"""

    def conv(name: str, operand: str, channels: int, layer: str, out: int, pad: str) -> str:
        kernel = parameters[f"{layer}.weight"]
        return f"""
    {name} = torch.aten.convolution {operand}, %{layer}_weight, %{layer}_bias, %ones, {pad}, %ones,
      %false, %none, %one : {vtensor(2, channels, 14, 14)}, {vtensor(*kernel)}, {vtensor(out)},
      !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.bool, !torch.list<int>,
      !torch.int -> {vtensor(2, out, 14, 14)}"""

    return f"""
module @module {{{text}
  func.func @main(%arg0: {vtensor(2, 6, 14, 14)}) -> {vtensor(2, 6, 14, 14)}
      attributes {{torch.assume_strict_symbolic_shapes}} {{{loads}
    %one = torch.constant.int 1
    %zero = torch.constant.int 0
    %false = torch.constant.bool false
    %ones = torch.prim.ListConstruct %one, %one : (!torch.int, !torch.int) -> !torch.list<int>
    %zeros = torch.prim.ListConstruct %zero, %zero : (!torch.int, !torch.int) -> !torch.list<int>
    %none = torch.prim.ListConstruct : () -> !torch.list<int>
    {conv("%0", "%arg0", 6, "conv1", 12, "%ones")}
    %1 = torch.aten.relu %0 : {vtensor(2, 12, 14, 14)} -> {vtensor(2, 12, 14, 14)}
    {conv("%2", "%arg0", 6, "conv2", 12, "%zeros")}
    %3 = torch.aten.relu %2 : {vtensor(2, 12, 14, 14)} -> {vtensor(2, 12, 14, 14)}
    %4 = torch.prim.ListConstruct %1, %3 : ({vtensor(2, 12, 14, 14)}, {vtensor(2, 12, 14, 14)})
      -> !torch.list<vtensor>
    %5 = torch.aten.cat %4, %one : !torch.list<vtensor>, !torch.int -> {vtensor(2, 24, 14, 14)}
    {conv("%6", "%5", 24, "conv3", 6, "%ones")}
    return %6 : {vtensor(2, 6, 14, 14)}
  }}
}}
"""


# --- linalg ------------------------------------------------------------------


def _matmul(name: str, left: str, right: str, m: str, k: int, n: int, dynamic: str = "") -> str:
    """Text of `left` (m x k) times `right` (k x n); `dynamic` is the value of m if it is `?`."""
    result = f"tensor<{m}x{n}xf32>"
    local = name.replace("%", "%local_")
    return f"""
    {local}_e = tensor.empty({dynamic}) : {result}
    {local}_f = linalg.fill ins(%cst : f32) outs({local}_e : {result}) -> {result}
    {name} = linalg.matmul ins({left}, {right} : tensor<{m}x{k}xf32>, tensor<{k}x{n}xf32>)
      outs({local}_f : {result}) -> {result}"""


_ZERO = "%cst = arith.constant 0.0 : f32"


def _branches(prefix: str, source: str, rows: int) -> str:
    """Two wide products of `source` (rows x 32) that meet in a sum: room for a better order."""
    wide = tensor_type((rows, 96))
    return f"""
    %{prefix}w0 = arith.constant {weights(20, (32, 96))}
    %{prefix}w1 = arith.constant {weights(21, (96, 32))}
    %{prefix}w2 = arith.constant {weights(22, (32, 96))}
    %{prefix}w3 = arith.constant {weights(23, (96, 32))}
    {_matmul(f"%{prefix}0", source, f"%{prefix}w0", str(rows), 32, 96)}
    {_matmul(f"%{prefix}1", source, f"%{prefix}w2", str(rows), 32, 96)}
    %{prefix}2 = math.absf %{prefix}0 : {wide}
    %{prefix}3 = math.absf %{prefix}1 : {wide}
    {_matmul(f"%{prefix}4", f"%{prefix}2", f"%{prefix}w1", str(rows), 96, 32)}
    {_matmul(f"%{prefix}5", f"%{prefix}3", f"%{prefix}w3", str(rows), 96, 32)}
    %{prefix} = arith.addf %{prefix}4, %{prefix}5 : {tensor_type((rows, 32))}"""


@_model
def two_functions() -> str:
    """Two exported functions of different size; each has a slab of its own."""
    return f"""
module @two {{
  func.func @small(%x: tensor<8x32xf32>) -> tensor<8x32xf32> {{
    {_ZERO}
    {_branches("a", "%x", 8)}
    return %a : tensor<8x32xf32>
  }}
  func.func @large(%x: tensor<40x32xf32>, %y: tensor<40x32xf32>) -> tensor<40x32xf32> {{
    {_ZERO}
    {_branches("a", "%x", 40)}
    {_branches("b", "%y", 40)}
    %c = arith.mulf %a, %b : tensor<40x32xf32>
    return %c : tensor<40x32xf32>
  }}
}}
"""


@_model
def control_flow() -> str:
    """A branch on the host: several regions, and values that cross between them."""
    return f"""
module @branch {{
  func.func @main(%x: tensor<24x32xf32>, %take: i32) -> tensor<24x32xf32> {{
    {_ZERO}
    %c0 = arith.constant 0 : i32
    %condition = arith.cmpi ne, %take, %c0 : i32
    {_branches("a", "%x", 24)}
    %r = scf.if %condition -> (tensor<24x32xf32>) {{
      {_branches("b", "%a", 24)}
      %s = arith.addf %b, %a : tensor<24x32xf32>
      scf.yield %s : tensor<24x32xf32>
    }} else {{
      %w = arith.constant {weights(30, (32, 32))}
      {_matmul("%d", "%a", "%w", "24", 32, 32)}
      scf.yield %d : tensor<24x32xf32>
    }}
    {_branches("e", "%r", 24)}
    return %e : tensor<24x32xf32>
  }}
}}
"""


@_model
def loop() -> str:
    """A loop on the host whose trip count is an argument."""
    return f"""
module @loop {{
  func.func @main(%x: tensor<24x32xf32>, %count: i32) -> tensor<24x32xf32> {{
    {_ZERO}
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = arith.index_cast %count : i32 to index
    %w = arith.constant {weights(31, (32, 32))}
    %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x) -> (tensor<24x32xf32>) {{
      {_branches("b", "%a", 24)}
      {_matmul("%d", "%b", "%w", "24", 32, 32)}
      scf.yield %d : tensor<24x32xf32>
    }}
    return %r : tensor<24x32xf32>
  }}
}}
"""


@_model
def several_results() -> str:
    """Three results of sizes that are no multiple of 64, one of them needed on the way."""
    return f"""
module @several {{
  func.func @main(%x: tensor<8x32xf32>)
      -> (tensor<8x32xf32>, tensor<8x5xf32>, tensor<8x3xf32>) {{
    {_ZERO}
    %v0 = arith.constant {weights(40, (32, 5))}
    %v1 = arith.constant {weights(41, (5, 3))}
    {_branches("a", "%x", 8)}
    {_matmul("%p", "%a", "%v0", "8", 32, 5)}
    {_matmul("%q", "%p", "%v1", "8", 5, 3)}
    return %a, %p, %q : tensor<8x32xf32>, tensor<8x5xf32>, tensor<8x3xf32>
  }}
}}
"""


@_model
def repeated_results() -> str:
    """An argument, a constant and twice the same value among the results."""
    return f"""
module @repeated {{
  func.func @main(%x: tensor<8x32xf32>)
      -> (tensor<8x32xf32>, tensor<8x32xf32>, tensor<8x32xf32>, tensor<32x7xf32>) {{
    {_ZERO}
    %v0 = arith.constant {weights(42, (32, 7))}
    {_branches("a", "%x", 8)}
    return %a, %x, %a, %v0
      : tensor<8x32xf32>, tensor<8x32xf32>, tensor<8x32xf32>, tensor<32x7xf32>
  }}
}}
"""


@_model
def held_back() -> str:
    """Barriers up to the runtime: several regions, and only the last reference frees memory."""
    tensor = "tensor<8x32xf32>"
    return f"""
module @held_back {{
  func.func @main(%x: {tensor}, %w: tensor<32x32xf32>) -> {tensor} {{
    {_ZERO}
    {_matmul("%a", "%x", "%w", "8", 32, 32)}
    %b = util.optimization_barrier %a : {tensor}
    {_matmul("%c", "%b", "%w", "8", 32, 32)}
    %d = util.optimization_barrier %c : {tensor}
    {_matmul("%f", "%d", "%w", "8", 32, 32)}
    return %f : {tensor}
  }}
}}
"""


@_model
def mutable_global() -> str:
    """A variable that every call reads and replaces."""
    return f"""
module @state {{
  util.global private mutable @state = dense<0.5> : tensor<24x32xf32>
  func.func @main(%x: tensor<24x32xf32>) -> tensor<24x32xf32> {{
    {_ZERO}
    %old = util.global.load @state : tensor<24x32xf32>
    {_branches("a", "%x", 24)}
    %new = arith.addf %a, %old : tensor<24x32xf32>
    util.global.store %new, @state : tensor<24x32xf32>
    {_branches("b", "%new", 24)}
    return %b : tensor<24x32xf32>
  }}
  func.func @reset() {{
    %zero = arith.constant dense<0.0> : tensor<24x32xf32>
    util.global.store %zero, @state : tensor<24x32xf32>
    return
  }}
}}
"""


@_model
def globals_of_two_functions() -> str:
    """Two variables that start alike, in one allocation; each is replaced by another function."""
    tensor = "tensor<16x32xf32>"
    functions = "".join(
        f"""
  func.func @step_{name}(%x: {tensor}) -> {tensor} {{
    {_ZERO}
    {_branches("a", "%x", 16)}
    %old = util.global.load @{name} : {tensor}
    %new = arith.addf %a, %old : {tensor}
    util.global.store %new, @{name} : {tensor}
    return %a : {tensor}
  }}"""
        for name in ("left", "right")
    )
    return f"""
module @globals_of_two_functions {{
  util.global private mutable @left = dense<0.0> : {tensor}
  util.global private mutable @right = dense<0.0> : {tensor}
{functions}
}}
"""


@_model
def computed_global() -> str:
    """A global that the initializer computes: persistent memory, and a region at load."""
    return f"""
module @computed {{
  util.global private @table : tensor<32x32xf32>
  util.initializer {{
    {_ZERO}
    %w0 = arith.constant {weights(50, (32, 96))}
    %w1 = arith.constant {weights(51, (96, 32))}
    {_matmul("%t", "%w0", "%w1", "32", 96, 32)}
    %u = math.tanh %t : tensor<32x32xf32>
    %b = util.optimization_barrier %u : tensor<32x32xf32>
    util.global.store %b, @table : tensor<32x32xf32>
    util.return
  }}
  func.func @main(%x: tensor<8x32xf32>) -> tensor<8x32xf32> {{
    {_ZERO}
    %w = util.global.load @table : tensor<32x32xf32>
    {_matmul("%p", "%x", "%w", "8", 32, 32)}
    {_branches("a", "%p", 8)}
    return %a : tensor<8x32xf32>
  }}
}}
"""


@_model
def dynamic_batch() -> str:
    """A batch size known at run time only: no size in the slab is static."""
    wide, narrow = "tensor<?x96xf32>", "tensor<?x32xf32>"
    return f"""
module @dynamic {{
  func.func @main(%x: {narrow}) -> {narrow} {{
    {_ZERO}
    %c0 = arith.constant 0 : index
    %n = tensor.dim %x, %c0 : {narrow}
    %w0 = arith.constant {weights(60, (32, 96))}
    %w1 = arith.constant {weights(61, (96, 32))}
    {_matmul("%0", "%x", "%w0", "?", 32, 96, "%n")}
    %1 = math.absf %0 : {wide}
    {_matmul("%2", "%1", "%w1", "?", 96, 32, "%n")}
    %3 = arith.addf %2, %x : {narrow}
    {_matmul("%4", "%3", "%w0", "?", 32, 96, "%n")}
    {_matmul("%5", "%4", "%w1", "?", 96, 32, "%n")}
    return %5 : {narrow}
  }}
}}
"""


def _int8_conv(name: str, operand: str, channels: int, out: int, kernel: str, size: int) -> str:
    """Text of an NHWC int8 convolution with int32 accumulators, requantised to int8."""
    padded = tensor_type((1, size + 2, size + 2, channels), "i8")
    accumulator = tensor_type((1, size, size, out), "i32")
    result = tensor_type((1, size, size, out), "i8")
    weight = tensor_type((3, 3, channels, out), "i8")
    local = name.replace("%", "%local_")
    return f"""
    {local}_p = tensor.pad {operand} low[0, 1, 1, 0] high[0, 1, 1, 0] {{
    ^bb0(%i0: index, %i1: index, %i2: index, %i3: index):
      tensor.yield %zero8 : i8
    }} : {tensor_type((1, size, size, channels), "i8")} to {padded}
    {local}_e = tensor.empty() : {accumulator}
    {local}_f = linalg.fill ins(%zero32 : i32) outs({local}_e : {accumulator}) -> {accumulator}
    {local}_a = linalg.conv_2d_nhwc_hwcf {{dilations = dense<1> : tensor<2xi64>,
      strides = dense<1> : tensor<2xi64>}} ins({local}_p, {kernel} : {padded}, {weight})
      outs({local}_f : {accumulator}) -> {accumulator}
    {local}_o = tensor.empty() : {result}
    {name} = linalg.generic {{indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>,
      affine_map<(a, b, c, d) -> (a, b, c, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}}
      ins({local}_a : {accumulator}) outs({local}_o : {result}) {{
    ^bb0(%v: i32, %ignored: i8):
      %s = arith.shrsi %v, %shift : i32
      %lo = arith.maxsi %s, %least : i32
      %hi = arith.minsi %lo, %most : i32
      %t = arith.trunci %hi : i32 to i8
      linalg.yield %t : i8
    }} -> {result}"""


@_model
def int8_network() -> str:
    """A quantised cell: int8 values, int32 accumulators, a concatenation."""
    image = "tensor<1x12x12x8xi8>"
    return f"""
module @quantised {{
  func.func @main(%x: {image}) -> {image} {{
    %zero8 = arith.constant 0 : i8
    %zero32 = arith.constant 0 : i32
    %shift = arith.constant 9 : i32
    %least = arith.constant -128 : i32
    %most = arith.constant 127 : i32
    %w0 = arith.constant {int8_weights(70, (3, 3, 8, 16))}
    %w1 = arith.constant {int8_weights(71, (3, 3, 8, 16))}
    %w2 = arith.constant {int8_weights(72, (3, 3, 32, 8))}
    {_int8_conv("%0", "%x", 8, 16, "%w0", 12)}
    {_int8_conv("%1", "%x", 8, 16, "%w1", 12)}
    %c = tensor.concat dim(3) %0, %1 : (tensor<1x12x12x16xi8>, tensor<1x12x12x16xi8>)
      -> tensor<1x12x12x32xi8>
    {_int8_conv("%2", "%c", 32, 8, "%w2", 12)}
    return %2 : {image}
  }}
}}
"""


@_model
def no_tensors() -> str:
    """Scalars only: nothing to schedule, nothing to allocate."""
    return """
module @scalars {
  func.func @main(%a: i32, %b: i32) -> i32 {
    %0 = arith.muli %a, %b : i32
    %1 = arith.addi %0, %a : i32
    return %1 : i32
  }
}
"""


@_model
def mixed_types() -> str:
    """Arguments and results of many element types, a scalar tensor among them."""
    return """
module @mixed {
  func.func @main(%a: tensor<6x10xf16>, %b: tensor<6x10xi1>, %c: tensor<6x10xi64>, %d: tensor<f64>,
      %e: tensor<6x10xbf16>, %f: f32)
      -> (tensor<6x10xf16>, tensor<6x10xi64>, tensor<f64>, tensor<6x10xbf16>, tensor<6x10xi1>,
          f32) {
    %h = arith.addf %a, %a : tensor<6x10xf16>
    %i = arith.select %b, %c, %c : tensor<6x10xi1>, tensor<6x10xi64>
    %j = arith.addi %i, %c : tensor<6x10xi64>
    %k = arith.addf %d, %d : tensor<f64>
    %l = arith.mulf %e, %e : tensor<6x10xbf16>
    %true = arith.constant dense<true> : tensor<6x10xi1>
    %m = arith.xori %b, %true : tensor<6x10xi1>
    %n = arith.addf %f, %f : f32
    return %h, %j, %k, %l, %m, %n
      : tensor<6x10xf16>, tensor<6x10xi64>, tensor<f64>, tensor<6x10xbf16>, tensor<6x10xi1>, f32
  }
}
"""
