// RUN: serenity-opt %s --serenity-schedule --split-input-file | FileCheck %s

// Tests that a later reader of a tensor stays later where a dispatch reads the
// tensor and its result is inserted into it: IREE lets such a dispatch write
// over its own operand unless the operand is read afterwards. With @use
// first, the peak would be lower: the insertion would need no copy of %0.

// CHECK-LABEL: @reads_what_it_is_inserted_into
//       CHECK: flow.dispatch @ex::@part
//       CHECK: flow.tensor.update
//       CHECK: flow.dispatch @ex::@use
util.func public @reads_what_it_is_inserted_into(%x: tensor<16xf32>, %at: index) -> (tensor<16xf32>, tensor<16xf32>) {
  %0 = flow.dispatch @ex::@make(%x) : (tensor<16xf32>) -> tensor<1024xf32>
  %1 = flow.dispatch @ex::@part(%0, %at) : (tensor<1024xf32>, index) -> tensor<512xf32>
  %2 = flow.tensor.update %1, %0[%at] : tensor<512xf32> -> %0 as tensor<1024xf32>
  %3 = flow.dispatch @ex::@use(%0) : (tensor<1024xf32>) -> tensor<16xf32>
  %4 = flow.dispatch @ex::@end(%2) : (tensor<1024xf32>) -> tensor<16xf32>
  util.return %3, %4 : tensor<16xf32>, tensor<16xf32>
}

// -----

// Tests that the reader goes first where the dispatch reads something else: the
// insertion then needs no copy.

// CHECK-LABEL: @reads_another_tensor
//       CHECK: flow.dispatch @ex::@use
//       CHECK: flow.tensor.update
util.func public @reads_another_tensor(%x: tensor<16xf32>, %at: index) -> (tensor<16xf32>, tensor<16xf32>) {
  %0 = flow.dispatch @ex::@make(%x) : (tensor<16xf32>) -> tensor<1024xf32>
  %1 = flow.dispatch @ex::@part(%x, %at) : (tensor<16xf32>, index) -> tensor<512xf32>
  %2 = flow.tensor.update %1, %0[%at] : tensor<512xf32> -> %0 as tensor<1024xf32>
  %3 = flow.dispatch @ex::@use(%0) : (tensor<1024xf32>) -> tensor<16xf32>
  %4 = flow.dispatch @ex::@end(%2) : (tensor<1024xf32>) -> tensor<16xf32>
  util.return %3, %4 : tensor<16xf32>, tensor<16xf32>
}
