// Two loops in a row, the second one of which starts from a constant: the runtime keeps the 96 bytes
// of a 4x6 tensor after every call, whoever compiled it (docs/memory_model.md, rule 15).
func.func @main(%x: tensor<4x6xf32>, %row: tensor<1x6xf32>, %k: tensor<6x3xf32>, %s: tensor<6x6xf32>) -> (tensor<4x6xf32>, tensor<4x3xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %f = arith.constant 0.0 : f32
  %ea = tensor.empty() : tensor<4x6xf32>
  %za = linalg.fill ins(%f : f32) outs(%ea : tensor<4x6xf32>) -> tensor<4x6xf32>
  %a = linalg.matmul ins(%x, %s : tensor<4x6xf32>, tensor<6x6xf32>) outs(%za : tensor<4x6xf32>) -> tensor<4x6xf32>
  %b = arith.addf %x, %x : tensor<4x6xf32>
  %first = scf.for %i = %c0 to %c2 step %c1 iter_args(%v = %a) -> (tensor<4x6xf32>) {
    %r = tensor.insert_slice %row into %v[%i, 0] [1, 6] [1, 1] : tensor<1x6xf32> into tensor<4x6xf32>
    scf.yield %r : tensor<4x6xf32>
  }
  %w = arith.constant dense<[[1.75, -0.5, 1.25, 1.75, 1.25, 0.75], [-2.0, 0.75, -1.0, 1.5, 0.75, -1.0], [-2.0, -0.25, 0.5, 0.5, -2.0, 1.25], [1.0, 1.25, -0.25, 2.0, -0.25, -2.0]]> : tensor<4x6xf32>
  %same, %second = scf.for %i = %c0 to %c2 step %c1 iter_args(%v = %w, %u = %b) -> (tensor<4x6xf32>, tensor<4x6xf32>) {
    %e = tensor.empty() : tensor<4x6xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%v : tensor<4x6xf32>) outs(%e : tensor<4x6xf32>) {
    ^bb0(%p: f32, %q: f32):
      %mx = arith.maximumf %p, %f : f32
      linalg.yield %mx : f32
    } -> tensor<4x6xf32>
    scf.yield %v, %r : tensor<4x6xf32>, tensor<4x6xf32>
  }
  %e = tensor.empty() : tensor<4x3xf32>
  %z = linalg.fill ins(%f : f32) outs(%e : tensor<4x3xf32>) -> tensor<4x3xf32>
  %o = linalg.matmul ins(%second, %k : tensor<4x6xf32>, tensor<6x3xf32>) outs(%z : tensor<4x3xf32>) -> tensor<4x3xf32>
  return %first, %o : tensor<4x6xf32>, tensor<4x3xf32>
}
