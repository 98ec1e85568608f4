"""int8 forms of a float model, each by a tool's own quantizer and from the same samples. Files that are there already are kept."""
import os


def onnxruntime_form(path, samples, target, operators=None):
    """A QDQ model as onnxruntime.quantization makes it: static, u8 activations, i8 weights for each channel.

    - operators: those to quantize; without them, what its convolutional networks and its transformers gain from.
    """
    if os.path.exists(target):
        return target
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.rows = iter(samples)

        def get_next(self):
            return next(self.rows, None)

    convolutions = any(node.op_type == "Conv" for node in onnx.load(path, load_external_data=False).graph.node)
    operators = operators or (
        ["Conv", "MatMul", "Gemm", "Add", "Relu", "Clip", "MaxPool", "GlobalAveragePool", "AveragePool", "Concat", "Resize"] if convolutions else ["MatMul", "Gemm"])
    prepared = target + ".prepared"
    try:
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
    except Exception:  # It does not know every operator, and quantizes without it too.
        prepared = path
    quantize_static(
        prepared, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=operators)
    if prepared != path:
        os.remove(prepared)
    return target


def nncf_form(path, samples, target):
    """An OpenVINO model (`target` ends with .xml) as NNCF quantizes it; with its scheme for transformers where there are several softmaxes."""
    if os.path.exists(target):
        return target
    import logging

    import nncf
    import onnx
    import openvino
    nncf.set_log_level(logging.ERROR)
    operators = [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]
    model = openvino.Core().read_model(path)
    if model.is_dynamic():
        model.reshape({port.get_any_name(): list(samples[0][port.get_any_name()].shape) for port in model.inputs})
    kind = nncf.ModelType.TRANSFORMER if operators.count("Softmax") > 3 else None
    openvino.save_model(nncf.quantize(model, nncf.Dataset(samples), subset_size=len(samples), model_type=kind), target, compress_to_fp16=False)
    return target


def sample_folder(samples, folder):
    """The samples as `ingot --calibrate` reads them: a folder for each, a file for each input."""
    import numpy
    for position, arrays in enumerate(samples):
        place = os.path.join(folder, "sample_%d" % position)
        os.makedirs(place, exist_ok=True)
        for name, array in arrays.items():
            numpy.save(os.path.join(place, name + ".npy"), array)
    return folder
