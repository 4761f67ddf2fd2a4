// RUN: serenity-opt %s --serenity-remove-barriers | FileCheck %s

// Tests that a barrier of serenity goes and its users read its operand, while a
// barrier of the user's stays.

// CHECK-LABEL: @main
//       CHECK: %[[A:.+]] = flow.dispatch @ex::@a(
//       CHECK: %[[B:.+]] = flow.dispatch @ex::@b(%[[A]])
//   CHECK-NOT: serenity.barrier
//       CHECK: %[[OWN:.+]] = util.optimization_barrier %[[B]] : tensor<4xf32>
//       CHECK: flow.dispatch @ex::@c(%[[OWN]])
util.func public @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = flow.dispatch @ex::@a(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %0 = util.optimization_barrier {serenity.barrier} %a : tensor<4xf32>
  %b = flow.dispatch @ex::@b(%0) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = util.optimization_barrier %b : tensor<4xf32>
  %c = flow.dispatch @ex::@c(%1) : (tensor<4xf32>) -> tensor<4xf32>
  util.return %c : tensor<4xf32>
}
flow.executable private @ex {
  flow.executable.export public @a
  flow.executable.export public @b
  flow.executable.export public @c
}
