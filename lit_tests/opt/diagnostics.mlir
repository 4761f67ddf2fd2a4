// RUN: not serenity-opt %s --split-input-file 2>&1 | FileCheck %s

// Tests that diagnostics show the place in the file, the line and a caret, and
// that a bad chunk does not hide the next one.

// CHECK: diagnostics.mlir:11:10: error: use of undeclared SSA value name
// CHECK-NEXT: {{^}}  return %a : i32{{$}}
// CHECK-NEXT: {{^}}         ^{{$}}
func.func @first() {
  // A comment.
  return %a : i32
}

// -----

// CHECK: diagnostics.mlir:20:3: error: 'func.return' op has 1 operands
// CHECK-NEXT: {{^}}  return %a : i32{{$}}
// CHECK: note: see current operation: "func.return"(%arg0) : (i32) -> ()
func.func @second(%a: i32) {
  return %a : i32
}
