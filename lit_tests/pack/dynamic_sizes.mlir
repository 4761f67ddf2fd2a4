// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-pack,cse)' --split-input-file | FileCheck %s

// Tests that slices of dynamic size stay in a pack of their own behind the
// static ones, with their lifetimes. The two static slices overlap in time:
// 64 + 64 = 128 bytes come first.

// CHECK-LABEL: @mixed_sizes
//  CHECK-SAME: (%[[SIZE:.+]]: index)
//   CHECK-DAG: %[[C0:.+]] = arith.constant 0 : index
//   CHECK-DAG: %[[C64:.+]] = arith.constant 64 : index
//   CHECK-DAG: %[[C128:.+]] = arith.constant 128 : index
//       CHECK: %[[REST:.+]]:2 = stream.resource.pack offset(%[[C128]]) slices({
//  CHECK-NEXT:   [2, 5] = %[[SIZE]]
//  CHECK-NEXT: }) : index
//   CHECK-NOT: stream.resource.pack
//       CHECK: util.return %[[REST]]#0, %{{.+}}, %[[REST]]#1, %{{.+}} :
util.func public @mixed_sizes(%size: index) -> (index, index, index, index) {
  %c64 = arith.constant 64 : index
  %pack:4 = stream.resource.pack slices({
    [0, 3] = %c64,
    [2, 5] = %size,
    [3, 4] = %c64
  }) : index
  util.return %pack#0, %pack#1, %pack#2, %pack#3 : index, index, index, index
}

// -----

// Tests that IREE's own pass accepts what is left, and that the sum of both
// parts is the slab: 64 static bytes and the dynamic size behind them.

// CHECK-LABEL: @dynamic_affinity
//       CHECK: stream.resource.pack on(#hal.device.promise<@device>) offset(%{{.+}}) slices({
util.func public @dynamic_affinity(%size: index) -> index {
  %c64 = arith.constant 64 : index
  %pack:3 = stream.resource.pack on(#hal.device.promise<@device>) slices({
    [0, 1] = %c64,
    [0, 1] = %size
  }) : index
  util.return %pack#0 : index
}
