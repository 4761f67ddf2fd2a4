// expected-error @below {{this does not come}}
func.func @not_produced() {
  return
}

// -----

func.func @unexpected() {
  return %a : i32
}

// -----

func.func @other_kind() {
  // expected-warning @below {{undeclared}}
  return %a : i32
}

// -----

// expected-error @sideways {{text}}
// expected-error-re @below {{open {{brace}}
// expected-error-re @below {{wrong {{(}} expression}}
func.func @malformed() {
  return
}
