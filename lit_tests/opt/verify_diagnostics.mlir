// RUN: serenity-opt %s --split-input-file --verify-diagnostics

// Tests the places an expectation can name: this line, the next ones, lines
// counted from here, and lines without expectations.

func.func @this_line() {
  return %a : i32 // expected-error {{use of undeclared SSA value name}}
}

// -----

func.func @below() {
  // expected-error @below {{undeclared}}
  return %a : i32
}

// -----

func.func @above() {
  return %a : i32
  // expected-error @above {{undeclared}}
}

// -----

func.func @counted() {
  // expected-error @+2 {{undeclared}}

  return %a : i32
}

// -----

func.func @counted_backwards() {
  return %a : i32

  // expected-error @-2 {{undeclared}}
}

// -----

// Tests several expectations of one line, above each other, and notes.

func.func @with_a_note(%a: i32) {
  // expected-note @below {{prior use here}}
  %0 = arith.addi %a, %a : i32
  // expected-error @below {{use of value '%0' expects different type than prior uses: 'i64' vs 'i32'}}
  %1 = arith.addi %0, %0 : i64
  return
}

// -----

// Tests expressions: outside of the inner braces text is literal.

func.func @expression(%a: i32) {
  // expected-error-re @below {{'func.return' op has {{[0-9]+}} operands, but enclosing function (@{{[a-z]+}}) returns 0}}
  return %a : i32
}

// -----

// Tests that a chunk without diagnostics needs no expectation, and that one
// that says more about the place than MLIR does is found: a text is a part.

func.func @nothing() {
  return
}
