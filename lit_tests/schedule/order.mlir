// RUN: serenity-opt %s --serenity-schedule --split-input-file | FileCheck %s

// Tests that a tensor dies before the next large one is made. In the order
// given both large tensors (1024 x f32 = 4096 bytes) are alive at once, with 64
// bytes more while @shrink_a runs: 8256. One after the other: 4096 + 64, then
// 64 + 4096 + 64 = 4224. The result is exported and does not count.

// CHECK-LABEL: @one_large_tensor_at_a_time
//  CHECK-SAME: serenity.estimated_peak_bytes = 4224 : i64
//  CHECK-SAME: serenity.lower_bound_bytes = 4224 : i64
//  CHECK-SAME: serenity.optimal = true
//  CHECK-SAME: serenity.scheduled
//       CHECK: flow.dispatch @ex::@grow_[[FIRST:[ab]]](
//  CHECK-NEXT: flow.dispatch @ex::@shrink_[[FIRST]](
//  CHECK-NEXT: flow.dispatch @ex::@grow_
//  CHECK-NEXT: flow.dispatch @ex::@shrink_
//  CHECK-NEXT: flow.dispatch @ex::@add
util.func public @one_large_tensor_at_a_time(%x: tensor<16xf32>) -> tensor<16xf32> {
  %a = flow.dispatch @ex::@grow_a(%x) : (tensor<16xf32>) -> tensor<1024xf32>
  %b = flow.dispatch @ex::@grow_b(%x) : (tensor<16xf32>) -> tensor<1024xf32>
  %0 = flow.dispatch @ex::@shrink_a(%a) : (tensor<1024xf32>) -> tensor<16xf32>
  %1 = flow.dispatch @ex::@shrink_b(%b) : (tensor<1024xf32>) -> tensor<16xf32>
  %2 = flow.dispatch @ex::@add(%0, %1) : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32>
  util.return %2 : tensor<16xf32>
}

// -----

// Tests that sizes round up to 64 bytes: 25 x f32 = 100 -> 128, i1 takes a byte
// per element, 64 -> 64; and that the order of a chain stays.

// CHECK-LABEL: @chain
//  CHECK-SAME: serenity.estimated_peak_bytes = 192 : i64
//       CHECK: @ex::@first
//  CHECK-NEXT: @ex::@second
//  CHECK-NEXT: @ex::@third
util.func public @chain(%x: tensor<25xf32>) -> tensor<25xf32> {
  %0 = flow.dispatch @ex::@first(%x) : (tensor<25xf32>) -> tensor<25xf32>
  %1 = flow.dispatch @ex::@second(%0) : (tensor<25xf32>) -> tensor<64xi1>
  %2 = flow.dispatch @ex::@third(%1) : (tensor<64xi1>) -> tensor<25xf32>
  util.return %2 : tensor<25xf32>
}

// -----

// Tests that a reshape is the same buffer: without that, 256 bytes would be
// counted twice. It moves along with its user.

// CHECK-LABEL: @reshape_is_an_alias
//  CHECK-SAME: serenity.estimated_peak_bytes = 512 : i64
//       CHECK: %[[MADE:.+]] = flow.dispatch @ex::@make
//       CHECK: %[[SHAPED:.+]] = flow.tensor.reshape %[[MADE]]
//       CHECK: flow.dispatch @ex::@both(%[[MADE]], %[[SHAPED]])
util.func public @reshape_is_an_alias(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = flow.dispatch @ex::@make(%x) : (tensor<16xf32>) -> tensor<64xf32>
  %1 = flow.tensor.reshape %0 : tensor<64xf32> -> tensor<8x8xf32>
  %2 = flow.dispatch @ex::@both(%0, %1) : (tensor<64xf32>, tensor<8x8xf32>) -> tensor<64xf32>
  %3 = flow.dispatch @ex::@end(%2) : (tensor<64xf32>) -> tensor<16xf32>
  util.return %3 : tensor<16xf32>
}

// -----

// Tests that the readers of a value stay before what overwrites it in place,
// also through a reshape, and that the tied result needs no memory of its own:
// 4096 for the tensor, 64 for what @read makes.

// CHECK-LABEL: @reader_before_writer
//  CHECK-SAME: serenity.estimated_peak_bytes = 4160 : i64
//       CHECK: %[[OLD:.+]] = flow.dispatch @ex::@make
//       CHECK: flow.dispatch @ex::@read
//       CHECK: flow.dispatch @ex::@overwrite({{.+}}) : {{.+}} -> %[[OLD]]
util.func public @reader_before_writer(%x: tensor<16xf32>) -> tensor<16xf32> {
  %old = flow.dispatch @ex::@make(%x) : (tensor<16xf32>) -> tensor<1024xf32>
  %shaped = flow.tensor.reshape %old : tensor<1024xf32> -> tensor<32x32xf32>
  %seen = flow.dispatch @ex::@read(%shaped) : (tensor<32x32xf32>) -> tensor<16xf32>
  %new = flow.dispatch @ex::@overwrite(%old) : (tensor<1024xf32>) -> %old
  %0 = flow.dispatch @ex::@join(%new, %seen) : (tensor<1024xf32>, tensor<16xf32>) -> tensor<16xf32>
  util.return %0 : tensor<16xf32>
}

// -----

// Tests that a splat that several users overwrite is fresh memory for each.
// @begin_a and @begin_b each own 4096 bytes; one after the other needs
// 64 (the first sum) + 4096 + 64.

// CHECK-LABEL: @shared_splat
//  CHECK-SAME: serenity.estimated_peak_bytes = 4224 : i64
//       CHECK: @ex::@begin_[[FIRST:[ab]]]
//  CHECK-NEXT: @ex::@sum_[[FIRST]]
//       CHECK: @ex::@begin_
//  CHECK-NEXT: @ex::@sum_
util.func public @shared_splat(%x: tensor<16xf32>) -> tensor<16xf32> {
  %zero = arith.constant 0.0 : f32
  %splat = flow.tensor.splat %zero : tensor<1024xf32>
  %a = flow.dispatch @ex::@begin_a(%x, %splat) : (tensor<16xf32>, tensor<1024xf32>) -> %splat
  %b = flow.dispatch @ex::@begin_b(%x, %splat) : (tensor<16xf32>, tensor<1024xf32>) -> %splat
  %0 = flow.dispatch @ex::@sum_a(%a) : (tensor<1024xf32>) -> tensor<16xf32>
  %1 = flow.dispatch @ex::@sum_b(%b) : (tensor<1024xf32>) -> tensor<16xf32>
  %2 = flow.dispatch @ex::@join(%0, %1) : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32>
  util.return %2 : tensor<16xf32>
}

// -----

// Tests every function of a module, each for itself: what one needs does not
// depend on the other, and one without tensors is left without attributes.

// CHECK-LABEL: @needs_256
//  CHECK-SAME: serenity.estimated_peak_bytes = 256 : i64
util.func public @needs_256(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = flow.dispatch @ex::@make(%x) : (tensor<16xf32>) -> tensor<64xf32>
  %1 = flow.dispatch @ex::@end(%0) : (tensor<64xf32>) -> tensor<16xf32>
  util.return %1 : tensor<16xf32>
}

// CHECK-LABEL: @needs_512
//  CHECK-SAME: serenity.estimated_peak_bytes = 512 : i64
util.func public @needs_512(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = flow.dispatch @ex::@make(%x) : (tensor<16xf32>) -> tensor<128xf32>
  %1 = flow.dispatch @ex::@end(%0) : (tensor<128xf32>) -> tensor<16xf32>
  util.return %1 : tensor<16xf32>
}

// CHECK-LABEL: @no_tensors
//   CHECK-NOT: serenity.
//       CHECK: util.return
util.func public @no_tensors(%x: i32) -> i32 {
  util.return %x : i32
}

// CHECK-LABEL: util.func private @declaration
//   CHECK-NOT: serenity.
util.func private @declaration(%x: tensor<16xf32>) -> tensor<16xf32>
