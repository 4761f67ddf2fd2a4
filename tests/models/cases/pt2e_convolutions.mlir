// Two quantized convolutions in the form of PyTorch's pt2e export through
// iree-turbine: quantized_decomposed operations, i8 values with a sign.
module {
  func.func @main(%x: !torch.vtensor<[1,3,24,24],f32>) -> !torch.vtensor<[1,4,24,24],f32> attributes {torch.assume_strict_symbolic_shapes} {
    %none = torch.constant.none
    %least = torch.constant.int -128
    %weight_least = torch.constant.int -127
    %most = torch.constant.int 127
    %i8 = torch.constant.int 1
    %zero = torch.constant.int 0
    %one = torch.constant.int 1
    %weight_scale = torch.constant.float 0.0015
    %w8 = torch.vtensor.literal(dense<57> : tensor<16x3x3x3xsi8>) : !torch.vtensor<[16,3,3,3],si8>
    %w = torch.quantized_decomposed.dequantize_per_tensor %w8, %weight_scale, %zero, %weight_least, %most, %i8, %none : !torch.vtensor<[16,3,3,3],si8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[16,3,3,3],f32>
    %v8 = torch.vtensor.literal(dense<-31> : tensor<4x16x1x1xsi8>) : !torch.vtensor<[4,16,1,1],si8>
    %v = torch.quantized_decomposed.dequantize_per_tensor %v8, %weight_scale, %zero, %weight_least, %most, %i8, %none : !torch.vtensor<[4,16,1,1],si8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[4,16,1,1],f32>
    %s0 = torch.constant.float 0.03
    %z0 = torch.constant.int -17
    %q0 = torch.quantized_decomposed.quantize_per_tensor %x, %s0, %z0, %least, %most, %i8 : !torch.vtensor<[1,3,24,24],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,3,24,24],si8>
    %d0 = torch.quantized_decomposed.dequantize_per_tensor %q0, %s0, %z0, %least, %most, %i8, %none : !torch.vtensor<[1,3,24,24],si8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[1,3,24,24],f32>
    %b = torch.vtensor.literal(dense<0.14> : tensor<16xf32>) : !torch.vtensor<[16],f32>
    %ones = torch.prim.ListConstruct %one, %one : (!torch.int, !torch.int) -> !torch.list<int>
    %zeros = torch.prim.ListConstruct %zero, %zero : (!torch.int, !torch.int) -> !torch.list<int>
    %c1 = torch.aten.conv2d %d0, %w, %b, %ones, %ones, %ones, %one : !torch.vtensor<[1,3,24,24],f32>, !torch.vtensor<[16,3,3,3],f32>, !torch.vtensor<[16],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.int -> !torch.vtensor<[1,16,24,24],f32>
    %r1 = torch.aten.relu %c1 : !torch.vtensor<[1,16,24,24],f32> -> !torch.vtensor<[1,16,24,24],f32>
    %s1 = torch.constant.float 0.01
    %q1 = torch.quantized_decomposed.quantize_per_tensor %r1, %s1, %least, %least, %most, %i8 : !torch.vtensor<[1,16,24,24],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,16,24,24],si8>
    %d1 = torch.quantized_decomposed.dequantize_per_tensor %q1, %s1, %least, %least, %most, %i8, %none : !torch.vtensor<[1,16,24,24],si8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[1,16,24,24],f32>
    %c = torch.vtensor.literal(dense<-0.2> : tensor<4xf32>) : !torch.vtensor<[4],f32>
    %c2 = torch.aten.conv2d %d1, %v, %c, %ones, %zeros, %ones, %one : !torch.vtensor<[1,16,24,24],f32>, !torch.vtensor<[4,16,1,1],f32>, !torch.vtensor<[4],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.int -> !torch.vtensor<[1,4,24,24],f32>
    %s2 = torch.constant.float 0.007
    %z2 = torch.constant.int 43
    %q2 = torch.quantized_decomposed.quantize_per_tensor %c2, %s2, %z2, %least, %most, %i8 : !torch.vtensor<[1,4,24,24],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,4,24,24],si8>
    %d2 = torch.quantized_decomposed.dequantize_per_tensor %q2, %s2, %z2, %least, %most, %i8, %none : !torch.vtensor<[1,4,24,24],si8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[1,4,24,24],f32>
    return %d2 : !torch.vtensor<[1,4,24,24],f32>
  }
}
