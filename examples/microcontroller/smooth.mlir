// A window of 64 samples of three axes, smoothed over time by four filters.
func.func @smooth(%samples: tensor<1x3x64xf32>) -> tensor<1x4x61xf32> {
  %taps = arith.constant dense<[
      [[0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
      [[0.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 0.0]],
      [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]],
      [[1.0, 0.0, 0.0, -1.0], [1.0, 0.0, 0.0, -1.0], [1.0, 0.0, 0.0, -1.0]]]> : tensor<4x3x4xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<1x4x61xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x4x61xf32>) -> tensor<1x4x61xf32>
  %smooth = linalg.conv_1d_ncw_fcw
      ins(%samples, %taps : tensor<1x3x64xf32>, tensor<4x3x4xf32>)
      outs(%start : tensor<1x4x61xf32>) -> tensor<1x4x61xf32>
  return %smooth : tensor<1x4x61xf32>
}
