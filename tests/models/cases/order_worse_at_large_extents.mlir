// The result needs two values: %a2 (4,096 bytes), computed from %a1 (512 bytes per row), and %b2 (512
// bytes per row), computed from %b1 (65,536 bytes). A program that computes %a2 first holds it beside
// %b1 and %b2; one that computes %b2 first holds it beside %a1 and %a2.
func.func @main(%x: tensor<?x128xf32>, %s: tensor<?x8xf32>, %w: tensor<128x128xf32>) -> tensor<?x8xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x128xf32>
  %e0 = tensor.empty(%n) : tensor<?x128xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<?x128xf32>) -> tensor<?x128xf32>
  %e1 = tensor.empty() : tensor<128x8xf32>
  %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<128x8xf32>) -> tensor<128x8xf32>
  %e2 = tensor.empty() : tensor<128x128xf32>
  %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<128x128xf32>) -> tensor<128x128xf32>
  %e3 = tensor.empty(%n) : tensor<?x8xf32>
  %f3 = linalg.fill ins(%zero : f32) outs(%e3 : tensor<?x8xf32>) -> tensor<?x8xf32>
  %a1 = linalg.matmul ins(%x, %w : tensor<?x128xf32>, tensor<128x128xf32>)
    outs(%f0 : tensor<?x128xf32>) -> tensor<?x128xf32>
  %a2 = linalg.generic {
    indexing_maps = [affine_map<(i, j, k) -> (k, i)>, affine_map<(i, j, k) -> (k, j)>,
                     affine_map<(i, j, k) -> (i, j)>],
    iterator_types = ["parallel", "parallel", "reduction"]
  } ins(%a1, %s : tensor<?x128xf32>, tensor<?x8xf32>) outs(%f1 : tensor<128x8xf32>) {
  ^bb0(%l: f32, %r: f32, %sum: f32):
    %product = arith.mulf %l, %r : f32
    %next = arith.addf %product, %sum : f32
    linalg.yield %next : f32
  } -> tensor<128x8xf32>
  %b1 = linalg.matmul ins(%w, %w : tensor<128x128xf32>, tensor<128x128xf32>)
    outs(%f2 : tensor<128x128xf32>) -> tensor<128x128xf32>
  %b2 = linalg.matmul ins(%x, %b1 : tensor<?x128xf32>, tensor<128x128xf32>)
    outs(%f0 : tensor<?x128xf32>) -> tensor<?x128xf32>
  %result = linalg.matmul ins(%b2, %a2 : tensor<?x128xf32>, tensor<128x8xf32>)
    outs(%f3 : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %result : tensor<?x8xf32>
}
