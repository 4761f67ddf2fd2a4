// RUN: serenity-opt %s --serenity-restore-program-order --mlir-print-debuginfo --mlir-print-local-scope --split-input-file | FileCheck %s

// Tests that dispatches are sorted by their tags as far as dependences allow,
// and that the tags go: @c (2) needs @b (1), @a (0) comes first.

// CHECK-LABEL: util.func public @sorted
//       CHECK: flow.dispatch @ex::@a({{.*}} loc("a")
//       CHECK: flow.dispatch @ex::@b({{.*}} loc("b")
//       CHECK: flow.dispatch @ex::@c({{.*}} loc("c")
//   CHECK-NOT: serenity.order
util.func public @sorted(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %b = flow.dispatch @ex::@b(%x) : (tensor<4xf32>) -> tensor<4xf32> loc("serenity.order.1"("b"))
  %c = flow.dispatch @ex::@c(%b) : (tensor<4xf32>) -> tensor<4xf32> loc("serenity.order.2"("c"))
  %a = flow.dispatch @ex::@a(%x) : (tensor<4xf32>) -> tensor<4xf32> loc("serenity.order.0"("a"))
  util.return %c, %a : tensor<4xf32>, tensor<4xf32>
}
flow.executable private @ex {
  flow.executable.export public @a
  flow.executable.export public @b
  flow.executable.export public @c
}

// -----

// Tests that a fused location counts with its last tag (3, behind @b with 2), and
// that an operation of another dialect in between keeps the order as it is, but
// not the tags.

// CHECK-LABEL: util.func public @fused
//       CHECK: flow.dispatch @ex::@b(
//       CHECK: flow.dispatch @ex::@a({{.*}} loc(fused["p", "q"])
//   CHECK-NOT: serenity.order
util.func public @fused(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %a = flow.dispatch @ex::@a(%x) : (tensor<4xf32>) -> tensor<4xf32> loc(fused["serenity.order.0"("p"), "serenity.order.3"("q")])
  %b = flow.dispatch @ex::@b(%x) : (tensor<4xf32>) -> tensor<4xf32> loc("serenity.order.2"("b"))
  util.return %a, %b : tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: util.func public @barred
//       CHECK: flow.dispatch @ex::@b({{.*}} loc("b")
//       CHECK: util.optimization_barrier
//       CHECK: flow.dispatch @ex::@a({{.*}} loc("a")
//   CHECK-NOT: serenity.order
util.func public @barred(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %b = flow.dispatch @ex::@b(%x) : (tensor<4xf32>) -> tensor<4xf32> loc("serenity.order.1"("b"))
  %0 = util.optimization_barrier %x : tensor<4xf32>
  %a = flow.dispatch @ex::@a(%0) : (tensor<4xf32>) -> tensor<4xf32> loc("serenity.order.0"("a"))
  util.return %b, %a : tensor<4xf32>, tensor<4xf32>
}
flow.executable private @ex {
  flow.executable.export public @a
  flow.executable.export public @b
}
