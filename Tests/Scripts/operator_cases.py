"""Single-operator models for `compare_operators.py`."""
from required_packages import require

np = require("numpy")
onnx = require("onnx")


class Case:
    """One operator with attributes. `data` are graph inputs, `constants` initializers, both by position among the operands."""

    def __init__(self, operator, data, attributes=None, constants=None, opset=22, outputs=1, oracle="reference", domain="", symbolic=(), note=""):
        self.operator, self.attributes, self.opset, self.outputs, self.oracle, self.domain = operator, attributes or {}, opset, outputs, oracle, domain
        self.constants = {position: np.asarray(value) for position, value in (constants or {}).items()}
        operands = {position: np.asarray(value) for position, value in (data if isinstance(data, dict) else dict(enumerate(data))).items()}
        self.inputs = {"x%d" % position: value for position, value in operands.items()}
        self.symbolic = symbolic
        forms = ", ".join("%s=%s" % item for item in self.attributes.items() if not hasattr(item[1], "node"))
        self.name = "%s-%d %s%s" % (operator, opset, note or forms[:40], " symbolic" if symbolic else "")

    def model(self):
        helper = onnx.helper
        count = 1 + max([int(name[1:]) for name in self.inputs] + list(self.constants) + [-1])
        names = ["x%d" % position if "x%d" % position in self.inputs or position in self.constants else "" for position in range(count)]
        results = ["y%d" % position for position in range(self.outputs)]
        node = helper.make_node(self.operator, names, results, domain=self.domain, **self.attributes)
        inputs = []
        for name, value in self.inputs.items():
            shape = ["d_%s_%d" % (name, axis) if (name, axis) in self.symbolic else extent for axis, extent in enumerate(value.shape)]
            inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), shape))
        outputs = [onnx.ValueInfoProto(name=name) for name in results]
        constants = [onnx.numpy_helper.from_array(value, "x%d" % position) for position, value in self.constants.items()]
        graph = helper.make_graph([node], "case", inputs, outputs, constants)
        opsets = [helper.make_opsetid("", self.opset)] + ([helper.make_opsetid(self.domain, 1)] if self.domain else [])
        model = helper.make_model(graph, opset_imports=opsets, ir_version=min(10, helper.find_min_ir_version_for(opsets)))
        try:
            return onnx.shape_inference.infer_shapes(model)
        except Exception:
            return model


generator = np.random.default_rng(7)


def normal(*shape):
    return generator.standard_normal(shape).astype(np.float32)


def uniform(low, high, *shape):
    return generator.uniform(low, high, shape).astype(np.float32)


i64 = np.int64
image = normal(2, 4, 9, 11)
boxes = np.array([[0.5, 1.0, 9.3, 7.2], [2.0, 2.0, 5.0, 8.0], [0.0, 0.0, 10.0, 8.0], [7.0, 3.0, 7.2, 3.1]], np.float32)
owners = np.array([0, 1, 1, 0], i64)


def torch_fold(size, kernel, **options):
    torch = require("torch")
    return lambda inputs: [torch.nn.functional.fold(torch.tensor(inputs["x0"]), size, kernel, **options).numpy()]


CASES = [
    # Placement.
    Case("CenterCropPad", [normal(7, 5, 6)], constants={1: np.array([4, 8, 6], i64)}, opset=18),
    Case("CenterCropPad", [normal(7, 5, 6)], {"axes": [2, 0]}, {1: np.array([9, 3], i64)}, opset=18),
    Case("CenterCropPad", [normal(7, 5)], {"axes": [-1]}, {1: np.array([8], i64)}, opset=18, symbolic=[("x0", 0)]),
    Case("TensorScatter", [normal(2, 3, 8, 4), normal(2, 3, 2, 4), np.array([1, 5], i64)], opset=24),
    Case("TensorScatter", [normal(2, 3, 8, 4), normal(2, 3, 3, 4), np.array([6, 2], i64)], {"mode": "circular"}, opset=24),
    Case("TensorScatter", [normal(2, 8, 4), normal(2, 3, 4)], {"axis": 1}, opset=24),
    # Col2Im against PyTorch's fold.
    Case("Col2Im", [normal(2, 3 * 4, 5 * 5)], constants={1: np.array([10, 10], i64), 2: np.array([2, 2], i64)}, attributes={"strides": [2, 2]}, opset=18,
         oracle=torch_fold((10, 10), (2, 2), stride=2)),
    Case("Col2Im", [normal(2, 2 * 9, 64)], constants={1: np.array([8, 8], i64), 2: np.array([3, 3], i64)}, attributes={"pads": [1, 1, 1, 1]}, opset=18,
         oracle=torch_fold((8, 8), (3, 3), padding=1)),
    Case("Col2Im", [normal(1, 2 * 4, 36)], constants={1: np.array([8, 8], i64), 2: np.array([2, 2], i64)}, attributes={"dilations": [2, 2]}, opset=18,
         oracle=torch_fold((8, 8), (2, 2), dilation=2)),
    Case("Col2Im", [normal(1, 10, 12)], constants={1: np.array([3, 4, 5], i64), 2: np.array([1, 1, 5], i64)}, opset=18, note="three axes"),
    # Pooling with indices.
    Case("MaxPool", [normal(2, 3, 8, 9)], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]}, outputs=2, oracle="onnxruntime"),
    Case("MaxPool", [normal(2, 3, 8, 9)], {"kernel_shape": [3, 3], "strides": [2, 2], "storage_order": 1}, outputs=2, oracle="onnxruntime"),
    Case("MaxPool", [normal(1, 2, 11)], {"kernel_shape": [3], "strides": [2], "dilations": [2], "ceil_mode": 1}, outputs=2, oracle="onnxruntime"),
    Case("MaxPool", [normal(1, 2, 6, 7, 5)], {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2]}, outputs=2, oracle="onnxruntime"),
    Case("MaxPool", [normal(1, 2, 6, 8)], {"kernel_shape": [2, 2], "strides": [2, 2]}, outputs=2, oracle="onnxruntime", symbolic=[("x0", 2)]),
    Case("MaxUnpool", [normal(1, 2, 2, 2), np.array([[[[1, 3], [8, 14]], [[16, 19], [24, 31]]]], i64)], {"kernel_shape": [2, 2], "strides": [2, 2]}, oracle="onnxruntime"),
    Case("GlobalLpPool", [normal(2, 3, 4, 5)], {"p": 3}, opset=21, oracle="onnxruntime"),
    Case("LpPool", [normal(2, 3, 8, 8)], {"kernel_shape": [3, 3], "p": 3, "strides": [2, 2], "ceil_mode": 1}, oracle="onnxruntime"),
    # Regions.
    Case("RoiAlign", [image, boxes, owners], {"output_height": 3, "output_width": 2, "sampling_ratio": 2}, opset=16, oracle="onnxruntime"),
    Case("RoiAlign", [image, boxes, owners], {"output_height": 2, "output_width": 2, "sampling_ratio": 2, "mode": "max"}, opset=16, oracle="onnxruntime"),
    Case("RoiAlign", [image, boxes, owners], {"output_height": 3, "output_width": 3}, opset=16, oracle="onnxruntime", note="adaptive"),
    Case("RoiAlign", [image, boxes, owners], {"output_height": 2, "output_width": 3, "mode": "max"}, note="adaptive max", opset=16, oracle="onnxruntime"),
    Case("RoiAlign", [image, boxes, owners], {"output_height": 3, "output_width": 3, "spatial_scale": 0.5}, opset=10, oracle="onnxruntime", note="old"),
    Case("RoiAlign", [image, boxes, owners], {"output_height": 3, "output_width": 3, "sampling_ratio": 1, "coordinate_transformation_mode": "output_half_pixel"},
         opset=16, oracle="onnxruntime", note="output_half_pixel"),
    Case("MaxRoiPool", [image, np.concatenate([owners[:, None].astype(np.float32), boxes], axis=1)], {"pooled_shape": [3, 2]}, opset=21, oracle="onnxruntime"),
    Case("MaxRoiPool", [image, np.concatenate([owners[:, None].astype(np.float32), boxes], axis=1)], {"pooled_shape": [4, 4], "spatial_scale": 0.6}, opset=21, oracle="onnxruntime"),
    # Deformable convolution.
    Case("DeformConv", [normal(2, 4, 7, 8), normal(6, 4, 3, 3), normal(2, 18, 5, 6)]),
    Case("DeformConv", [normal(1, 4, 7, 8), normal(6, 2, 3, 3), normal(1, 36, 4, 4), normal(6), uniform(0, 1, 1, 18, 4, 4)],
         {"group": 2, "offset_group": 2, "pads": [1, 1, 1, 1], "strides": [2, 2]}, note="groups, mask, bias"),
    Case("DeformConv", [normal(1, 2, 9, 9), normal(3, 2, 2, 2), normal(1, 8, 7, 7)], {"dilations": [2, 2]}),
    # Linear algebra.
    Case("Det", [normal(3, 2, 5, 5)]),
    Case("Det", [normal(4, 4)]),
    Case("Det", [np.array([[0, 2, 1], [1, 0, 3], [4, 1, 0]], np.float32)], note="zero pivot"),
    Case("Det", [np.ones((2, 3, 3), np.float32)], note="singular"),
    Case("Det", [normal(2, 6, 6).astype(np.float64)], note="double"),
    Case("Einsum", [normal(2, 3, 4), normal(2, 4, 5)], {"equation": "bij,bjk->bik"}, opset=12, oracle="onnxruntime"),
    Case("Einsum", [normal(2, 3, 4, 5), normal(2, 6, 4, 5)], {"equation": "bqhd,bkhd->bhqk"}, opset=12, oracle="onnxruntime"),
    # Signals.
    Case("STFT", [normal(2, 128, 1)], {"onesided": 1}, {1: np.array(16, i64), 2: np.hanning(32).astype(np.float32)}, opset=17, oracle="onnxruntime"),
    Case("STFT", [normal(1, 100, 1)], {"onesided": 0}, {1: np.array(10, i64), 3: np.array(20, i64)}, opset=17, oracle="onnxruntime"),
    Case("STFT", [normal(1, 128, 2)], {"onesided": 0}, {1: np.array(8, i64), 3: np.array(64, i64)}, opset=17, oracle="onnxruntime", note="complex"),
    Case("DFT", [normal(1, 480, 1)], constants={2: np.array(1, i64)}, opset=20, oracle="reference", note="480"),
    Case("DFT", [normal(2, 1000, 2)], {"inverse": 1}, constants={2: np.array(1, i64)}, opset=20, note="1000 inverse"),
    Case("DFT", [normal(1, 16384, 1)], {"onesided": 1}, constants={2: np.array(1, i64)}, opset=20, note="16384"),
    Case("DFT", [normal(1, 211, 1)], {"axis": 1}, opset=17, note="prime"),
    # Sampling.
    Case("GridSample", [normal(1, 2, 4, 5, 6), uniform(-1.2, 1.2, 1, 3, 4, 5, 3)], {"mode": "linear"}, oracle="onnxruntime", opset=20),
    Case("GridSample", [normal(1, 2, 4, 5, 6), uniform(-1.2, 1.2, 1, 3, 4, 5, 3)], {"mode": "nearest", "padding_mode": "border"}, oracle="onnxruntime", opset=20),
    Case("GridSample", [normal(1, 2, 6, 6), uniform(-1.2, 1.2, 1, 5, 5, 2)], {"mode": "cubic", "padding_mode": "reflection", "align_corners": 1}, oracle="onnxruntime", opset=20),
    Case("GridSample", [normal(1, 2, 6, 6), uniform(-1.2, 1.2, 1, 5, 5, 2)], {"mode": "bicubic"}, oracle="onnxruntime", opset=16),
    Case("Upsample", [normal(1, 2, 3, 4)], {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "nearest"}, opset=7, oracle="onnxruntime"),
    Case("Upsample", [normal(1, 2, 3, 4)], {"mode": "linear"}, {1: np.array([1, 1, 2, 2], np.float32)}, opset=9, oracle="onnxruntime"),
    Case("Resize", [normal(1, 2, 6, 7)], {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 3.0},
         {1: np.array([0, 0, 0.1, -0.2, 1, 1, 0.8, 1.3], np.float32), 3: np.array([1, 2, 5, 9], i64)}, opset=19, oracle="onnxruntime"),
    Case("Resize", [normal(1, 2, 8, 8)], {"mode": "cubic", "antialias": 1}, {2: np.array([1, 1, 0.6, 0.5], np.float32)}, opset=19, oracle="onnxruntime"),
    Case("Resize", [normal(1, 2, 6, 7)], {"mode": "cubic", "exclude_outside": 1, "cubic_coeff_a": -0.5}, {2: np.array([1, 1, 1.5, 2], np.float32)}, opset=19, oracle="onnxruntime"),
    Case("Resize", [normal(1, 2, 6, 7)], {"mode": "linear"}, {1: np.array([1, 1, 2, 2], np.float32)}, opset=10, oracle="onnxruntime"),
    # Sequences in time.
    Case("ReverseSequence", [normal(5, 3, 2), np.array([2, 5, 1], i64)], {"time_axis": 0, "batch_axis": 1}, opset=10, oracle="onnxruntime"),
    # Old forms.
    Case("Pad", [normal(3, 4)], {"pads": [1, 0, 0, 2], "mode": "constant", "value": 1.5}, opset=10, oracle="onnxruntime"),
    Case("Slice", [normal(6, 5)], {"starts": [1, -3], "ends": [5, 100], "axes": [0, 1]}, opset=9, oracle="onnxruntime"),
    Case("TopK", [normal(3, 7)], {"k": 3, "axis": 1}, opset=9, outputs=2, oracle="onnxruntime"),
    Case("Clip", [normal(3, 4)], {"min": -0.5}, opset=10, oracle="onnxruntime"),
    Case("Dropout", [normal(3, 4)], {"ratio": 0.3}, opset=10, oracle="onnxruntime"),
    Case("BatchNormalization", [normal(2, 3, 4)], {"epsilon": 1e-3}, {1: normal(3), 2: normal(3), 3: normal(3), 4: uniform(0.1, 2, 3)}, opset=7, oracle="onnxruntime"),
    Case("Softmax", [normal(2, 3, 4)], {"axis": 1}, opset=11, oracle="onnxruntime"),
    Case("LogSoftmax", [normal(2, 3, 4)], opset=11, oracle="onnxruntime"),
    Case("PRelu", [normal(2, 3, 4)], constants={1: normal(3, 1)}, opset=7, oracle="onnxruntime"),
    Case("Gemm", [normal(3, 4), normal(5, 4), normal(5)], {"transB": 1, "alpha": 0.5, "beta": 2.0}, opset=7, oracle="onnxruntime"),
    Case("MeanVarianceNormalization", [normal(2, 3, 4, 4)], {"axes": [0, 2, 3]}, opset=9, oracle="onnxruntime"),
    Case("LpNormalization", [normal(3, 4)], {"p": 1, "axis": 0}, opset=21, oracle="onnxruntime"),
]

# What no other implementation computes alike: random numbers are tested for their distributions (RandomOperatorTests).
WITHOUT_ORACLE = [
    Case("RandomNormal", [], {"shape": [3, 4]}),
    Case("RandomNormalLike", [normal(3, 4)]),
    Case("RandomUniform", [], {"shape": [3, 4]}),
    Case("RandomUniformLike", [normal(3, 4)]),
    Case("Bernoulli", [uniform(0, 1, 3, 4)]),
    Case("Multinomial", [normal(3, 4)], {"sample_size": 5}),
    Case("Dropout", [normal(3, 4)], constants={1: np.array(0.5, np.float32), 2: np.array(True)}, outputs=2),
]
