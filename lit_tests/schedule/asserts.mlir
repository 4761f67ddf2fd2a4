// RUN: serenity-opt %s --serenity-schedule --split-input-file | FileCheck %s

// Tests that an assert about extents is moved before the dispatches that precede
// it, with the computation of its condition, and behind the imports. IREE would
// end an execution region at it. As both extents are equal behind it, the
// dispatches use %n + 1 for both: the first extent alone is used.

// CHECK-LABEL: @equal_extents
//       CHECK: %[[N:.+]] = hal.buffer_view.dim{{.+}}[0]
//       CHECK: %[[M:.+]] = hal.buffer_view.dim{{.+}}[0]
//       CHECK: %[[SAME:.+]] = arith.cmpi eq
//       CHECK: cf.assert %[[SAME]], "mismatching extents"
//       CHECK: %[[A:.+]] = flow.dispatch @ex::@grow(%{{.+}}) : {{.+}} -> tensor<?xf32>{%[[SIZE:.+]]}
//  CHECK-NEXT: %[[B:.+]] = flow.dispatch @ex::@grow(%{{.+}}) : {{.+}} -> tensor<?xf32>{%[[SIZE]]}
//  CHECK-NEXT: flow.dispatch @ex::@add(%[[A]], %[[B]])
//       CHECK: hal.tensor.export
util.func public @equal_extents(%x: !hal.buffer_view, %y: !hal.buffer_view) -> !hal.buffer_view {
  %c1 = arith.constant 1 : index
  %n = hal.buffer_view.dim<%x : !hal.buffer_view>[0] : index
  %0 = hal.tensor.import %x "x" : !hal.buffer_view -> tensor<?xf32>{%n}
  %m = hal.buffer_view.dim<%y : !hal.buffer_view>[0] : index
  %1 = hal.tensor.import %y "y" : !hal.buffer_view -> tensor<?xf32>{%m}
  %longer_n = arith.addi %n, %c1 : index
  %2 = flow.dispatch @ex::@grow(%0) : (tensor<?xf32>{%n}) -> tensor<?xf32>{%longer_n}
  %longer_m = arith.addi %m, %c1 : index
  %3 = flow.dispatch @ex::@grow(%1) : (tensor<?xf32>{%m}) -> tensor<?xf32>{%longer_m}
  %wide_n = arith.index_cast %longer_n : index to i64
  %wide_m = arith.index_cast %longer_m : index to i64
  %same = arith.cmpi eq, %wide_n, %wide_m : i64
  cf.assert %same, "mismatching extents"
  %4 = flow.dispatch @ex::@add(%2, %3) : (tensor<?xf32>{%longer_n}, tensor<?xf32>{%longer_m}) -> tensor<16xf32>
  %5 = hal.tensor.export %4 : tensor<16xf32> -> !hal.buffer_view
  util.return %5 : !hal.buffer_view
}

// -----

// Tests that a comparison other than equality moves too, and that the extents
// stay different ones.

// CHECK-LABEL: @order_of_extents
//       CHECK: cf.assert
//       CHECK: flow.dispatch @ex::@first{{.+}} -> tensor<?xf32>{%[[N:.+]]}
//       CHECK: flow.dispatch @ex::@second{{.+}}{%[[N]]}) -> tensor<?xf32>{%[[M:.+]]}
util.func public @order_of_extents(%x: tensor<16xf32>, %n: index, %m: index) -> tensor<?xf32> {
  %0 = flow.dispatch @ex::@first(%x) : (tensor<16xf32>) -> tensor<?xf32>{%n}
  %fits = arith.cmpi ult, %n, %m : index
  cf.assert %fits, "too long"
  %1 = flow.dispatch @ex::@second(%0) : (tensor<?xf32>{%n}) -> tensor<?xf32>{%m}
  util.return %1 : tensor<?xf32>
}

// -----

// Tests that a value that was computed from an extent in front of the assert is
// computed again from the other one, since the assert itself needs it.

// CHECK-LABEL: @computed_again
//  CHECK-SAME: (%{{.+}}: tensor<16xf32>, %[[N:[a-z0-9]+]]: index, %[[M:[a-z0-9]+]]: index)
//       CHECK: %[[TWICE:.+]] = arith.muli %[[M]], %c2
//       CHECK: cf.assert
//       CHECK: cf.assert
//       CHECK: %[[AGAIN:.+]] = arith.muli %[[N]], %c2
//  CHECK-NEXT: flow.dispatch @ex::@make{{.+}} -> tensor<?xf32>{%[[AGAIN]]}
util.func public @computed_again(%x: tensor<16xf32>, %n: index, %m: index) -> tensor<?xf32> {
  %c2 = arith.constant 2 : index
  %c99 = arith.constant 99 : index
  %twice = arith.muli %m, %c2 : index
  %0 = flow.dispatch @ex::@make(%x) : (tensor<16xf32>) -> tensor<?xf32>{%twice}
  %same = arith.cmpi eq, %n, %m : index
  cf.assert %same, "mismatch"
  %fits = arith.cmpi ult, %twice, %c99 : index
  cf.assert %fits, "too long"
  util.return %0 : tensor<?xf32>
}
