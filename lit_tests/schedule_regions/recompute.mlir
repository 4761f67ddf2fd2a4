// RUN: serenity-opt %s --serenity-schedule-regions --split-input-file | FileCheck %s
// RUN: serenity-opt %s --serenity-schedule-regions='max-recompute=0' --split-input-file | FileCheck %s --check-prefix=NONE
// RUN: serenity-opt %s --serenity-schedule-regions='rewrite=off' --split-input-file | FileCheck %s --check-prefix=NONE
// RUN: serenity-opt %s --serenity-schedule-regions='max-recompute=1' --split-input-file | FileCheck %s --check-prefix=ALL

stream.executable private @ex {
  stream.executable.export public @spread workgroups() -> (index, index, index) {
    %c1 = arith.constant 1 : index
    stream.return %c1, %c1, %c1 : index, index, index
  }
  stream.executable.export public @pad workgroups() -> (index, index, index) {
    %c1 = arith.constant 1 : index
    stream.return %c1, %c1, %c1 : index, index, index
  }
  stream.executable.export public @sums workgroups() -> (index, index, index) {
    %c1 = arith.constant 1 : index
    stream.return %c1, %c1, %c1 : index, index, index
  }
  builtin.module {
    // Every element 64 times: no multiply-accumulates.
    func.func @spread(%arg0: !stream.binding, %arg1: !stream.binding) {
      %c0 = arith.constant 0 : index
      %0 = stream.binding.subspan %arg0[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<16xf32>>
      %1 = stream.binding.subspan %arg1[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<16x64xf32>>
      %2 = iree_tensor_ext.dispatch.tensor.load %0, offsets = [0], sizes = [16], strides = [1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<16xf32>> -> tensor<16xf32>
      %3 = tensor.empty() : tensor<16x64xf32>
      %4 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%2 : tensor<16xf32>) outs(%3 : tensor<16x64xf32>) {
      ^bb0(%in: f32, %out: f32):
        linalg.yield %in : f32
      } -> tensor<16x64xf32>
      iree_tensor_ext.dispatch.tensor.store %4, %1, offsets = [0, 0], sizes = [16, 64], strides = [1, 1] : tensor<16x64xf32> -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<16x64xf32>>
      return
    }
    // A copy into the middle of what is there.
    func.func @pad(%arg0: !stream.binding, %arg1: !stream.binding) {
      %c0 = arith.constant 0 : index
      %0 = stream.binding.subspan %arg0[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<16xf32>>
      %1 = stream.binding.subspan %arg1[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readwrite:tensor<1024xf32>>
      %2 = iree_tensor_ext.dispatch.tensor.load %0, offsets = [0], sizes = [16], strides = [1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<16xf32>> -> tensor<16xf32>
      iree_tensor_ext.dispatch.tensor.store %2, %1, offsets = [8], sizes = [16], strides = [1] : tensor<16xf32> -> !iree_tensor_ext.dispatch.tensor<readwrite:tensor<1024xf32>>
      return
    }
    // The sum of all elements, 1024 times: 16 * 1024 multiply-accumulates.
    func.func @sums(%arg0: !stream.binding, %arg1: !stream.binding) {
      %c0 = arith.constant 0 : index
      %cst = arith.constant 0.000000e+00 : f32
      %0 = stream.binding.subspan %arg0[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<16xf32>>
      %1 = stream.binding.subspan %arg1[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<1024xf32>>
      %2 = iree_tensor_ext.dispatch.tensor.load %0, offsets = [0], sizes = [16], strides = [1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<16xf32>> -> tensor<16xf32>
      %3 = tensor.empty() : tensor<1024xf32>
      %4 = linalg.fill ins(%cst : f32) outs(%3 : tensor<1024xf32>) -> tensor<1024xf32>
      %5 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%2 : tensor<16xf32>) outs(%4 : tensor<1024xf32>) {
      ^bb0(%in: f32, %out: f32):
        %6 = arith.addf %in, %out : f32
        linalg.yield %6 : f32
      } -> tensor<1024xf32>
      iree_tensor_ext.dispatch.tensor.store %5, %1, offsets = [0], sizes = [1024], strides = [1] : tensor<1024xf32> -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<1024xf32>>
      return
    }
  }
}

// Tests that a value (4096 bytes) whose operand is there anyway is computed
// again behind the peak: @shrink runs without it. Kept, it lives beside the
// other large value: 4096 + 4096 + 64 = 8256. Computed again, only one of the
// three is alive at a time: 4096 + 64 = 4160.

// CHECK-LABEL: @spread_again
//       CHECK: %[[P:.+]] = stream.async.dispatch @ex::@spread(
//  CHECK-NEXT: stream.async.dispatch @other::@use_a(%[[P]]
//  CHECK-NEXT: stream.async.dispatch @other::@grow(
//  CHECK-NEXT: stream.async.dispatch @other::@shrink(
//  CHECK-NEXT: %[[Q:.+]] = stream.async.dispatch @ex::@spread(
//  CHECK-NEXT: stream.async.dispatch @other::@use_b(%[[Q]]
//       CHECK: serenity.peak_bytes = 4160 : i64
//  NONE-LABEL: @spread_again
//        NONE: serenity.peak_bytes = 8256 : i64
util.func public @spread_again(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %p = stream.async.dispatch @ex::@spread(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %a = stream.async.dispatch @other::@use_a(%p[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %g = stream.async.dispatch @other::@grow(%a[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c4096}
    %s = stream.async.dispatch @other::@shrink(%g[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %0 = stream.async.dispatch @other::@use_b(%p[%c0 to %c4096 for %c4096], %s[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// Tests that a fill and the dispatch that writes over a part of it, as IREE
// makes of a pad, are run again together.

// CHECK-LABEL: @fill_again
//       CHECK: %[[Z:.+]] = stream.async.splat
//  CHECK-NEXT: %[[P:.+]] = stream.async.dispatch @ex::@pad({{.+}}, %[[Z]]
//       CHECK: stream.async.dispatch @other::@shrink(
//  CHECK-NEXT: %[[Y:.+]] = stream.async.splat
//  CHECK-NEXT: %[[Q:.+]] = stream.async.dispatch @ex::@pad({{.+}}, %[[Y]]
//  CHECK-NEXT: stream.async.dispatch @other::@use_b(%[[Q]]
//       CHECK: serenity.peak_bytes = 4160 : i64
//  NONE-LABEL: @fill_again
//        NONE: serenity.peak_bytes = 8256 : i64
util.func public @fill_again(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %c0_i32 = arith.constant 0 : i32
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %z = stream.async.splat %c0_i32 : i32 -> !stream.resource<transient>{%c4096}
    %p = stream.async.dispatch @ex::@pad(%in[%c0 to %c64 for %c64], %z[%c0 to %c4096 for %c4096]) : (!stream.resource<external>{%c64}, !stream.resource<transient>{%c4096}) -> %z{%c4096}
    %a = stream.async.dispatch @other::@use_a(%p[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %g = stream.async.dispatch @other::@grow(%a[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c4096}
    %s = stream.async.dispatch @other::@shrink(%g[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %0 = stream.async.dispatch @other::@use_b(%p[%c0 to %c4096 for %c4096], %s[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// Tests that a value is made again only within the limit of work: @sums has
// all multiply-accumulates of the region, so only max-recompute=1 allows it. Kept: 4096 (the sums) + 4096 + 64 = 8256.

//  ALL-LABEL: @work_is_limited
//        ALL: stream.async.dispatch @ex::@sums(
//        ALL: stream.async.dispatch @other::@shrink(
//        ALL: stream.async.dispatch @ex::@sums(
//        ALL: serenity.peak_bytes = 4160 : i64
// CHECK-LABEL: @work_is_limited
//       CHECK: serenity.peak_bytes = 8256 : i64
util.func public @work_is_limited(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %p = stream.async.dispatch @ex::@sums(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %a = stream.async.dispatch @other::@use_a(%p[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %g = stream.async.dispatch @other::@grow(%a[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c4096}
    %s = stream.async.dispatch @other::@shrink(%g[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %0 = stream.async.dispatch @other::@use_b(%p[%c0 to %c4096 for %c4096], %s[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// Tests that a value is kept whose executable is not known, since nothing tells
// what it costs.

// CHECK-LABEL: @unknown_executable
//       CHECK: serenity.peak_bytes = 8256 : i64
util.func public @unknown_executable(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %p = stream.async.dispatch @other::@spread(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %a = stream.async.dispatch @other::@use_a(%p[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %g = stream.async.dispatch @other::@grow(%a[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c4096}
    %s = stream.async.dispatch @other::@shrink(%g[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %0 = stream.async.dispatch @other::@use_b(%p[%c0 to %c4096 for %c4096], %s[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// Tests that a value is kept whose operand is overwritten before the peak: it
// cannot be computed again from what is there then.

// CHECK-LABEL: @operand_overwritten
//       CHECK: stream.async.dispatch @ex::@spread(
//   CHECK-NOT: stream.async.dispatch @ex::@spread(
//       CHECK: serenity.peak_bytes = 8256 : i64
util.func public @operand_overwritten(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %m = stream.async.dispatch @other::@make(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
    %p = stream.async.dispatch @ex::@spread(%m[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c4096}
    %a = stream.async.dispatch @other::@use_a(%m[%c0 to %c64 for %c64], %p[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c4096}) -> %m{%c64}
    %g = stream.async.dispatch @other::@grow(%a[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c4096}
    %s = stream.async.dispatch @other::@shrink(%g[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %0 = stream.async.dispatch @other::@use_b(%p[%c0 to %c4096 for %c4096], %s[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
