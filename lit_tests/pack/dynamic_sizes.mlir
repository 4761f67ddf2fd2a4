// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-pack,cse)' --split-input-file | FileCheck %s

// Tests slices whose sizes are known only at run time: each begins at the
// largest end of those that are alive with it and lie below it.

// Sizes of one batch, of which two neighbours exist together: 1024 + 512 bytes
// per row, the third in the place of the first. All coefficients are multiples
// of the alignment, so that the offsets are, and IREE's layout (1024 + 512 +
// 256) is larger for every batch.

// CHECK-LABEL: @one_dimension
//  CHECK-SAME: (%[[VIEW:.+]]: !hal.buffer_view)
//   CHECK-DAG: %[[C0:.+]] = arith.constant 0 : index
//   CHECK-DAG: %[[C1536:.+]] = arith.constant 1536 : index
//   CHECK-DAG: %[[BATCH:.+]] = hal.buffer_view.dim<%[[VIEW]] : !hal.buffer_view>[0] : index
//   CHECK-DAG: %[[LARGE:.+]] = arith.muli %[[BATCH]], %c1024 : index
//   CHECK-DAG: %[[TOTAL:.+]] = arith.muli %[[BATCH]], %[[C1536]] : index
//   CHECK-NOT: stream.resource.pack
//       CHECK: util.return %[[TOTAL]], %[[C0]], %[[LARGE]], %[[C0]] : index, index, index, index
util.func public @one_dimension(%view: !hal.buffer_view) -> (index, index, index, index) {
  %c1024 = arith.constant 1024 : index
  %c512 = arith.constant 512 : index
  %c256 = arith.constant 256 : index
  %batch = hal.buffer_view.dim<%view : !hal.buffer_view>[0] : index
  %a = arith.muli %batch, %c1024 : index
  %b = arith.muli %batch, %c512 : index
  %c = arith.muli %batch, %c256 : index
  %pack:4 = stream.resource.pack slices({
    [0, 1] = %a,
    [1, 2] = %b,
    [2, 3] = %c
  }) : index
  util.return %pack#0, %pack#1, %pack#2, %pack#3 : index, index, index, index
}

// -----

// Two dimensions, the slices of which share no moment: whichever is larger is
// the slab, less than the sum of both that IREE reserves. 100 bytes per row are
// rounded up at run time.

// CHECK-LABEL: @two_dimensions
//   CHECK-DAG: %[[C0:.+]] = arith.constant 0 : index
//   CHECK-DAG: %[[C64:.+]] = arith.constant 64 : index
//   CHECK-DAG: %[[FIRST:.+]] = hal.buffer_view.dim<%{{.+}} : !hal.buffer_view>[0] : index
//   CHECK-DAG: %[[SECOND:.+]] = hal.buffer_view.dim<%{{.+}} : !hal.buffer_view>[1] : index
//   CHECK-DAG: %[[ROWS:.+]] = arith.muli %[[FIRST]], %{{.+}} : index
//   CHECK-DAG: %[[ALIGNED:.+]] = util.align %[[ROWS]], %[[C64]] : index
//   CHECK-DAG: %[[COLUMNS:.+]] = arith.muli %[[SECOND]], %{{.+}} : index
//   CHECK-DAG: %[[TOTAL:.+]] = arith.maxui
//   CHECK-NOT: stream.resource.pack
//       CHECK: util.return %[[TOTAL]], %[[C0]], %[[C0]] : index, index, index
util.func public @two_dimensions(%view: !hal.buffer_view) -> (index, index, index) {
  %c100 = arith.constant 100 : index
  %c256 = arith.constant 256 : index
  %rows = hal.buffer_view.dim<%view : !hal.buffer_view>[0] : index
  %columns = hal.buffer_view.dim<%view : !hal.buffer_view>[1] : index
  %a = arith.muli %rows, %c100 : index
  %b = arith.muli %columns, %c256 : index
  %pack:3 = stream.resource.pack slices({
    [0, 1] = %a,
    [2, 3] = %b
  }) : index
  util.return %pack#0, %pack#1, %pack#2 : index, index, index
}

// -----

// Two dimensions whose slices differ in which one is larger. The stacking order
// that is best at the hint, where both are 64, puts two slices of %b on each
// other where columns are many and rows are few; IREE gives them one place. Both
// totals are computed, and the smaller layout is taken at run time.

// CHECK-LABEL: @compared_at_run_time
//       CHECK: %[[STOCK:.+]]:6 = stream.resource.pack offset(%{{.+}}) slices({
//       CHECK: %[[LESS:.+]] = arith.cmpi ule, %[[OWN:.+]], %[[STOCK]]#0 : index
//       CHECK: %[[TOTAL:.+]] = arith.select %[[LESS]], %[[OWN]], %[[STOCK]]#0 : index
//       CHECK: %[[OFFSET:.+]] = arith.select %[[LESS]], %{{.+}}, %[[STOCK]]#1 : index
//       CHECK: util.return %[[TOTAL]], %[[OFFSET]]
util.func public @compared_at_run_time(%view: !hal.buffer_view) -> (index, index) {
  %c1088 = arith.constant 1088 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %rows = hal.buffer_view.dim<%view : !hal.buffer_view>[0] : index
  %columns = hal.buffer_view.dim<%view : !hal.buffer_view>[1] : index
  %a = arith.muli %rows, %c128 : index
  %b = arith.muli %columns, %c64 : index
  %c = arith.muli %rows, %c64 : index
  %d = arith.addi %c1088, %c64 : index
  %pack:6 = stream.resource.pack slices({
    [0, 2] = %b,
    [2, 3] = %c,
    [3, 4] = %b,
    [3, 5] = %a,
    [4, 4] = %d
  }) : index
  util.return %pack#0, %pack#1 : index, index
}

// -----

// One dynamic slice above static ones is where IREE puts it too: it stays in a
// pack of its own behind the static part, with its lifetime. The two static
// slices overlap in time: 64 + 64 bytes come first.

// CHECK-LABEL: @nothing_gained
//  CHECK-SAME: (%[[SIZE:.+]]: index)
//   CHECK-DAG: %[[C128:.+]] = arith.constant 128 : index
//       CHECK: %[[REST:.+]]:2 = stream.resource.pack on(#hal.device.promise<@device>) offset(%[[C128]]) slices({
//  CHECK-NEXT:   [0, 3] = %[[SIZE]]
//  CHECK-NEXT: }) : index
//       CHECK: util.return %[[REST]]#0, %{{.+}}, %[[REST]]#1, %{{.+}} :
util.func public @nothing_gained(%size: index) -> (index, index, index, index) {
  %c64 = arith.constant 64 : index
  %pack:4 = stream.resource.pack on(#hal.device.promise<@device>) slices({
    [0, 3] = %c64,
    [0, 3] = %size,
    [1, 2] = %c64
  }) : index
  util.return %pack#0, %pack#1, %pack#2, %pack#3 : index, index, index, index
}
