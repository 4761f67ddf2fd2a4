// RUN: serenity-opt %s --serenity-schedule --split-input-file | FileCheck %s

// Tests that a load of a mutable global stays after the store before it, even
// where moving it would lower the peak.

// CHECK-LABEL: @load_after_store
//       CHECK: util.global.store
//       CHECK: util.global.load @state
//       CHECK: util.global.store
util.global private mutable @state = dense<0.0> : tensor<1024xf32>
util.func public @load_after_store(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = flow.dispatch @ex::@make(%x) : (tensor<16xf32>) -> tensor<1024xf32>
  util.global.store %0, @state : tensor<1024xf32>
  %1 = flow.dispatch @ex::@large(%x) : (tensor<16xf32>) -> tensor<4096xf32>
  %2 = util.global.load @state : tensor<1024xf32>
  %3 = flow.dispatch @ex::@use(%1, %2) : (tensor<4096xf32>, tensor<1024xf32>) -> tensor<1024xf32>
  util.global.store %3, @state : tensor<1024xf32>
  %4 = flow.dispatch @ex::@end(%x) : (tensor<16xf32>) -> tensor<16xf32>
  util.return %4 : tensor<16xf32>
}

// -----

// Tests that the imports, barriers and exports of the ABI keep their order and
// that what is imported or exported costs nothing: only the 4096 bytes between.

// CHECK-LABEL: @abi
//  CHECK-SAME: serenity.estimated_peak_bytes = 4096 : i64
//       CHECK: hal.tensor.import
//       CHECK: flow.dispatch
//       CHECK: hal.tensor.barrier
//       CHECK: hal.tensor.export
util.func public @abi(%x: !hal.buffer_view, %wait: !hal.fence, %signal: !hal.fence) -> !hal.buffer_view {
  %0 = hal.tensor.import wait(%wait) => %x : !hal.buffer_view -> tensor<16xf32>
  %1 = flow.dispatch @ex::@make(%0) : (tensor<16xf32>) -> tensor<1024xf32>
  %2 = flow.dispatch @ex::@end(%1) : (tensor<1024xf32>) -> tensor<16xf32>
  %3 = hal.tensor.barrier join(%2 : tensor<16xf32>) => %signal : !hal.fence
  %4 = hal.tensor.export %3 : tensor<16xf32> -> !hal.buffer_view
  util.return %4 : !hal.buffer_view
}

// -----

// Tests that an operation with regions moves as a whole, and that what it reads
// inside stays alive up to it: 4096 of %0, with 4096 of %1 beside it while @use
// runs is not needed, because scf.if goes first.

// CHECK-LABEL: @condition
//       CHECK: %[[READ:.+]] = flow.dispatch @ex::@make_0
//       CHECK: scf.if
//       CHECK:   @ex::@inside(%[[READ]])
//       CHECK: util.return
util.func public @condition(%x: tensor<16xf32>, %cond: i1) -> (tensor<16xf32>, tensor<16xf32>) {
  %0 = flow.dispatch @ex::@make_0(%x) : (tensor<16xf32>) -> tensor<1024xf32>
  %1 = flow.dispatch @ex::@make_1(%x) : (tensor<16xf32>) -> tensor<1024xf32>
  %2 = scf.if %cond -> (tensor<16xf32>) {
    %3 = flow.dispatch @ex::@inside(%0) : (tensor<1024xf32>) -> tensor<16xf32>
    scf.yield %3 : tensor<16xf32>
  } else {
    scf.yield %x : tensor<16xf32>
  }
  %4 = flow.dispatch @ex::@use(%1) : (tensor<1024xf32>) -> tensor<16xf32>
  util.return %2, %4 : tensor<16xf32>, tensor<16xf32>
}

// -----

// Tests that imports stay before all operations after them and exports after
// all before them, even though a late import would leave the order of @use_0
// and @use_1 open: one in their midst would cut the execution region in two.

// CHECK-LABEL: @imports_first
//       CHECK: hal.tensor.import %{{.*}} "first"
//       CHECK: hal.tensor.import %{{.*}} "second"
//       CHECK: @ex::@make_1
//       CHECK: @ex::@use_1
//       CHECK: @ex::@make_0
//       CHECK: @ex::@use_0
//       CHECK: @ex::@last
//       CHECK: hal.tensor.export
//       CHECK: hal.tensor.export
util.func public @imports_first(%x: !hal.buffer_view, %y: !hal.buffer_view) -> (!hal.buffer_view, !hal.buffer_view) {
  %0 = hal.tensor.import %x "first" : !hal.buffer_view -> tensor<16xf32>
  %1 = hal.tensor.import %y "second" : !hal.buffer_view -> tensor<16xf32>
  %2 = flow.dispatch @ex::@make_0(%0) : (tensor<16xf32>) -> tensor<1024xf32>
  %3 = flow.dispatch @ex::@make_1(%0) : (tensor<16xf32>) -> tensor<4096xf32>
  %4 = flow.dispatch @ex::@use_1(%3, %0) : (tensor<4096xf32>, tensor<16xf32>) -> tensor<16xf32>
  %5 = flow.dispatch @ex::@use_0(%2, %1) : (tensor<1024xf32>, tensor<16xf32>) -> tensor<16xf32>
  %6 = flow.dispatch @ex::@last(%5, %4) : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32>
  %7 = hal.tensor.export %6 : tensor<16xf32> -> !hal.buffer_view
  %8 = hal.tensor.export %4 : tensor<16xf32> -> !hal.buffer_view
  util.return %7, %8 : !hal.buffer_view, !hal.buffer_view
}
