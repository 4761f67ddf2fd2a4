// RUN: serenity-opt %s --serenity-schedule | FileCheck %s
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-schedule{dim-hint=arg0:axis0=1000})' | FileCheck %s --check-prefix=MANY

// Tests that tensors of dynamic shape count as large as they are at the hint.
// Of two chains the one with the larger rest has to run first: 64 * 16 floats of
// %n are 4096 bytes, less than the 8192 of the static tensor; of 1000 rows they
// are more. As given, the dynamic one is first.

// CHECK-LABEL: @rests
//       CHECK: @grow_static
//       CHECK: @grow_dynamic
// MANY-LABEL: @rests
//       MANY: @grow_dynamic
//       MANY: @grow_static
util.func public @rests(%view: !hal.buffer_view, %x: tensor<16xf32>) -> tensor<16xf32> {
  %n = hal.buffer_view.dim<%view : !hal.buffer_view>[0] : index
  %0 = flow.dispatch @ex::@grow_dynamic(%x, %n) : (tensor<16xf32>, index) -> tensor<?x16xf32>{%n}
  %1 = flow.dispatch @ex::@shrink_dynamic(%0) : (tensor<?x16xf32>{%n}) -> tensor<32xf32>
  %2 = flow.dispatch @ex::@grow_static(%x) : (tensor<16xf32>) -> tensor<2048xf32>
  %3 = flow.dispatch @ex::@shrink_static(%2) : (tensor<2048xf32>) -> tensor<16xf32>
  %4 = flow.dispatch @ex::@add(%1, %3) : (tensor<32xf32>, tensor<16xf32>) -> tensor<16xf32>
  util.return %4 : tensor<16xf32>
}
