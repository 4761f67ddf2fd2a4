// Energy of each of four channels, and from it the scores of two classes: at rest, in motion.
func.func @classify(%signal: tensor<1x4x61xf32>) -> tensor<1x2xf32> {
  %weights = arith.constant dense<[[-0.25, 0.25], [-0.25, 0.25], [-0.25, 0.25], [-1.0, 1.0]]>
      : tensor<4x2xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<1x4xf32>
  %none = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x4xf32>) -> tensor<1x4xf32>
  %energy = linalg.generic {
      indexing_maps = [affine_map<(n, c, t) -> (n, c, t)>, affine_map<(n, c, t) -> (n, c)>],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%signal : tensor<1x4x61xf32>) outs(%none : tensor<1x4xf32>) {
  ^bb0(%sample: f32, %sum: f32):
    %square = arith.mulf %sample, %sample : f32
    %next = arith.addf %sum, %square : f32
    linalg.yield %next : f32
  } -> tensor<1x4xf32>
  %bias = arith.constant dense<[[1.0, -1.0]]> : tensor<1x2xf32>
  %scores = linalg.matmul ins(%energy, %weights : tensor<1x4xf32>, tensor<4x2xf32>)
      outs(%bias : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %scores : tensor<1x2xf32>
}
