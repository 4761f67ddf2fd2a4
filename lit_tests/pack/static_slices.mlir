// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-pack,cse)' --split-input-file | FileCheck %s

// Tests that constants replace the pack. Live bytes: 64 at step 0, 64 + 128 at
// step 1, 128 + 64 at steps 2 and 3. So 192 is the least, and the third slice
// must take the place of the first.

// CHECK-LABEL: @three_slices
//   CHECK-NOT: stream.resource.pack
//       CHECK: %[[TOTAL:.+]] = arith.constant 192 : index
//       CHECK: util.return %[[TOTAL]], %[[SHARED:.+]], %{{.+}}, %[[SHARED]] :
util.func public @three_slices() -> (index, index, index, index) {
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %pack:4 = stream.resource.pack slices({
    [0, 1] = %c64,
    [1, 3] = %c128,
    [2, 3] = %c64
  }) : index
  util.return %pack#0, %pack#1, %pack#2, %pack#3 : index, index, index, index
}

// -----

// Tests that sizes round up to the range alignment, 64 bytes by default:
// 100 -> 128 and 1 -> 64.

// CHECK-LABEL: @unaligned_sizes
//       CHECK: %[[TOTAL:.+]] = arith.constant 192 : index
//       CHECK: util.return %[[TOTAL]]
util.func public @unaligned_sizes() -> index {
  %c1 = arith.constant 1 : index
  %c100 = arith.constant 100 : index
  %pack:3 = stream.resource.pack slices({
    [0, 1] = %c100,
    [1, 2] = %c1
  }) : index
  util.return %pack#0 : index
}

// -----

// Tests that the closest stream.resources attribute sets the alignments: 16
// bytes for sizes, so 100 -> 112, and 256 for offsets. The longer slice at
// offset 0 leaves the other one at 256: 256 + 16 = 272.

// CHECK-LABEL: @own_alignment
//       CHECK: %[[TOTAL:.+]] = arith.constant 272 : index
//       CHECK: util.return %[[TOTAL]]
util.func public @own_alignment() -> index attributes {
  stream.resources = #stream.resource_config<{
    max_allocation_size = 1073741824,
    min_buffer_offset_alignment = 256,
    max_buffer_range = 1073741824,
    min_buffer_range_alignment = 16,
    index_bits = 32
  }>
} {
  %c1 = arith.constant 1 : index
  %c100 = arith.constant 100 : index
  %pack:3 = stream.resource.pack slices({
    [0, 1] = %c100,
    [1, 2] = %c1
  }) : index
  util.return %pack#0 : index
}

// -----

// Tests that slices that never meet share one place.

// CHECK-LABEL: @disjoint_lifetimes
//   CHECK-DAG: %[[C0:.+]] = arith.constant 0 : index
//   CHECK-DAG: %[[C128:.+]] = arith.constant 128 : index
//       CHECK: util.return %[[C128]], %[[C0]], %[[C0]], %[[C0]]
util.func public @disjoint_lifetimes() -> (index, index, index, index) {
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %pack:4 = stream.resource.pack slices({
    [0, 1] = %c64,
    [2, 2] = %c128,
    [3, 4] = %c64
  }) : index
  util.return %pack#0, %pack#1, %pack#2, %pack#3 : index, index, index, index
}

// -----

// Tests that everything moves behind the pack's own offset.

// CHECK-LABEL: @behind_an_offset
//  CHECK-SAME: (%[[BASE:.+]]: index)
//   CHECK-DAG: %[[C0:.+]] = arith.constant 0 : index
//   CHECK-DAG: %[[C64:.+]] = arith.constant 64 : index
//   CHECK-DAG: %[[SLICE:.+]] = arith.addi %[[BASE]], %[[C0]] : index
//   CHECK-DAG: %[[TOTAL:.+]] = arith.addi %[[BASE]], %[[C64]] : index
//       CHECK: util.return %[[TOTAL]], %[[SLICE]]
util.func public @behind_an_offset(%base: index) -> (index, index) {
  %c64 = arith.constant 64 : index
  %pack:2 = stream.resource.pack offset(%base) slices({
    [0, 1] = %c64
  }) : index
  util.return %pack#0, %pack#1 : index, index
}

// -----

// Tests that all packs of a module are laid out, each for itself, in
// initializers too.

// CHECK-LABEL: util.initializer
//       CHECK: %[[C64:.+]] = arith.constant 64 : index
//   CHECK-NOT: stream.resource.pack
//       CHECK: util.optimization_barrier %[[C64]]
util.initializer {
  %c64 = arith.constant 64 : index
  %pack:2 = stream.resource.pack slices({
    [0, 1] = %c64
  }) : index
  util.optimization_barrier %pack#0 : index
  util.return
}

// CHECK-LABEL: @two_packs
//   CHECK-DAG: %[[C64:.+]] = arith.constant 64 : index
//   CHECK-DAG: %[[C128:.+]] = arith.constant 128 : index
//   CHECK-NOT: stream.resource.pack
//       CHECK: util.return %[[C64]], %[[C128]]
util.func public @two_packs() -> (index, index) {
  %c64 = arith.constant 64 : index
  %first:2 = stream.resource.pack slices({
    [0, 1] = %c64
  }) : index
  %second:3 = stream.resource.pack slices({
    [0, 1] = %c64,
    [1, 1] = %c64
  }) : index
  util.return %first#0, %second#0 : index, index
}
