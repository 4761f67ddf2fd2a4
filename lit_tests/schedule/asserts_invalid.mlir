// RUN: serenity-opt %s --serenity-schedule --split-input-file | FileCheck %s

// Tests that an assert stays behind a store to a global: a call that fails there
// has stored the value.

// CHECK-LABEL: @behind_store
//       CHECK: flow.dispatch @ex::@first
//       CHECK: util.global.store
//       CHECK: cf.assert
//       CHECK: flow.dispatch @ex::@second
util.global private mutable @state = dense<0.0> : tensor<16xf32>
util.func public @behind_store(%x: tensor<16xf32>, %n: index, %m: index) -> tensor<16xf32> {
  %0 = flow.dispatch @ex::@first(%x) : (tensor<16xf32>) -> tensor<16xf32>
  util.global.store %0, @state : tensor<16xf32>
  %same = arith.cmpi eq, %n, %m : index
  cf.assert %same, "mismatch"
  %1 = flow.dispatch @ex::@second(%x) : (tensor<16xf32>) -> tensor<16xf32>
  util.return %1 : tensor<16xf32>
}

// -----

// Tests that an assert about contents stays behind their computation, and that
// a later assert does not pass it.

// CHECK-LABEL: @about_contents
//       CHECK: flow.dispatch @ex::@first
//       CHECK: flow.tensor.load
//       CHECK: cf.assert %{{.+}}, "contents"
//       CHECK: cf.assert %{{.+}}, "extents"
util.func public @about_contents(%x: tensor<16xf32>, %n: index, %m: index) -> tensor<16xf32> {
  %0 = flow.dispatch @ex::@first(%x) : (tensor<16xf32>) -> tensor<i32>
  %value = flow.tensor.load %0 : tensor<i32>
  %zero = arith.constant 0 : i32
  %known = arith.cmpi ne, %value, %zero : i32
  cf.assert %known, "contents"
  %same = arith.cmpi eq, %n, %m : index
  cf.assert %same, "extents"
  %1 = flow.dispatch @ex::@second(%x) : (tensor<16xf32>) -> tensor<16xf32>
  util.return %1 : tensor<16xf32>
}
