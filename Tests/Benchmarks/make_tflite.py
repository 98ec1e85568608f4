#!/usr/bin/env python3
"""Makes a .tflite of an ONNX network of convolutions and dense layers, with its own weights, channels last as LiteRT's users have them.

  make_tflite.py MODEL.onnx OUT.tflite      (a Python with tensorflow and onnx)

Values of rank 4 are kept channels last; a flattening before a dense layer permutes that layer's weights instead of the values.
What is not in the table below ends with a sentence.
"""
import os
import sys

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", TF_ENABLE_ONEDNN_OPTS="0")
import numpy as np
import onnx
from onnx import numpy_helper

TO_LAST = {0: 0, 1: 3, 2: 1, 3: 2}


class Unsupported(Exception):
    pass


class Flat:
    """A flattened picture: its values channels last, where ONNX has them channels first."""

    def __init__(self, value, channels, pixels):
        self.value, self.channels, self.pixels = value, channels, pixels


class Network:
    """Builds the network in TensorFlow, node by node; `values` by their names in the ONNX graph."""

    def __init__(self, path):
        self.graph = onnx.load(path).graph
        self.constants = {weight.name: numpy_helper.to_array(weight) for weight in self.graph.initializer}
        self.makers = {node.output[0]: node for node in self.graph.node}
        self.inputs = [port for port in self.graph.input if port.name not in self.constants]

    def build(self, tf, *inputs):
        self.tf, self.values = tf, dict(zip((port.name for port in self.inputs), inputs))
        for node in self.graph.node:
            make = getattr(self, "make_" + node.op_type.lower(), None)
            if make is None:
                raise Unsupported("%s is not in make_tflite.py's table" % node.op_type)
            attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
            self.values[node.output[0]] = make(node, attributes)
        results = [self.values[port.name] for port in self.graph.output]
        return [self.tf.transpose(value, [0, 3, 1, 2]) if len(value.shape) == 4 else value for value in results]

    def constant(self, name, default=None):
        return self.constants[name] if name in self.constants else default

    def operand(self, node, position):
        """A value, or a constant in the layout of the values."""
        name = node.input[position]
        if name in self.values:
            value = self.values[name]
            if isinstance(value, Flat):
                raise Unsupported("%s takes a flattened picture" % node.op_type)
            return value
        array = self.constants[name]
        return self.tf.constant(array.transpose(0, 2, 3, 1) if array.ndim == 4 else array.reshape(-1) if array.ndim == 3 and array.shape[1:] == (1, 1) else array)

    def padded(self, x, attributes, kernel, strides, value):
        """(x, padding): as TensorFlow's own padding where that is the same, else explicit."""
        pads = attributes.get("pads", [0, 0, 0, 0])
        if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            raise Unsupported("auto_pad")
        if not any(pads):
            return x, "VALID"
        if pads == [(size - 1) // 2 for size in kernel] * 2 and strides == [1, 1] and all(size % 2 for size in kernel) and value == 0:
            return x, "SAME"
        return self.tf.pad(x, [[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]], constant_values=value), "VALID"

    def make_conv(self, node, attributes):
        x, weights = self.operand(node, 0), self.constant(node.input[1])
        if weights is None or weights.ndim != 4:
            raise Unsupported("a convolution that is not over pictures with constant weights")
        group, strides = attributes.get("group", 1), list(attributes.get("strides", [1, 1]))
        dilations = list(attributes.get("dilations", [1, 1]))
        x, padding = self.padded(x, attributes, list(weights.shape[2:]), strides, 0.0)
        if group == 1:
            y = self.tf.nn.conv2d(x, weights.transpose(2, 3, 1, 0), strides, padding, dilations=dilations)
        elif weights.shape[1] == 1 and group == x.shape[3]:
            # [channels * multiplier, 1, KH, KW] -> [KH, KW, channels, multiplier]
            filters = weights[:, 0].reshape(group, -1, *weights.shape[2:]).transpose(2, 3, 0, 1)
            y = self.tf.nn.depthwise_conv2d(x, filters, [1, *strides, 1], padding, dilations=dilations)
        else:
            raise Unsupported("a grouped convolution")
        return self.tf.nn.bias_add(y, self.constant(node.input[2])) if len(node.input) > 2 else y

    def make_relu(self, node, attributes):
        return self.tf.nn.relu(self.operand(node, 0))

    def make_sigmoid(self, node, attributes):
        return self.tf.sigmoid(self.operand(node, 0))

    def make_clip(self, node, attributes):
        low, high = (float(self.constant(node.input[place])) if len(node.input) > place and node.input[place] else limit for place, limit in ((1, -np.inf), (2, np.inf)))
        x = self.operand(node, 0)
        return self.tf.nn.relu6(x) if (low, high) == (0, 6) else self.tf.clip_by_value(x, low, high)

    def make_add(self, node, attributes):
        return self.operand(node, 0) + self.operand(node, 1)

    def make_mul(self, node, attributes):
        return self.operand(node, 0) * self.operand(node, 1)

    def make_maxpool(self, node, attributes):
        x, kernel, strides = self.operand(node, 0), list(attributes["kernel_shape"]), list(attributes.get("strides", [1, 1]))
        # Where nothing is negative, zeros around are as good as minus infinity.
        value = 0.0 if self.is_positive(node.input[0]) else float(np.finfo(np.float32).min)
        if attributes.get("ceil_mode"):
            pads = list(attributes.get("pads", [0, 0, 0, 0]))
            for axis in (0, 1):  # What the last window lacks.
                left = int(x.shape[1 + axis]) + pads[axis] + pads[2 + axis] - kernel[axis]
                pads[2 + axis] += -left % strides[axis]
            attributes = {**attributes, "pads": pads}
        x, padding = self.padded(x, attributes, kernel, [0, 0], value)
        return self.tf.nn.max_pool2d(x, kernel, strides, padding)

    def is_positive(self, name):
        """True if a value cannot be below zero."""
        maker = self.makers.get(name)
        if maker is None:
            return False
        if maker.op_type in ("Concat", "MaxPool"):
            return all(self.is_positive(operand) for operand in maker.input)
        return maker.op_type in ("Relu", "Sigmoid")

    def make_averagepool(self, node, attributes):
        if any(attributes.get("pads", [0])) or attributes.get("ceil_mode"):
            raise Unsupported("average pooling with padding")
        return self.tf.nn.avg_pool2d(self.operand(node, 0), list(attributes["kernel_shape"]), list(attributes.get("strides", [1, 1])), "VALID")

    def make_globalaveragepool(self, node, attributes):
        return self.tf.reduce_mean(self.operand(node, 0), [1, 2], keepdims=True)

    def make_reducemean(self, node, attributes):
        x = self.operand(node, 0)
        axes = attributes.get("axes") or [int(axis) for axis in self.constant(node.input[1])]
        rank = len(x.shape)
        axes = [axis % rank for axis in axes]
        if rank == 4:
            if sorted(axes) != [2, 3]:
                raise Unsupported("a mean that is not over the picture")
            mean = self.tf.reduce_mean(x, [1, 2], keepdims=bool(attributes.get("keepdims", 1)))
            return mean
        return self.tf.reduce_mean(x, axes, keepdims=bool(attributes.get("keepdims", 1)))

    def make_concat(self, node, attributes):
        values = [self.operand(node, place) for place in range(len(node.input))]
        axis = attributes["axis"] % len(values[0].shape)
        return self.tf.concat(values, TO_LAST[axis] if len(values[0].shape) == 4 else axis)

    def make_reshape(self, node, attributes):
        x, shape = self.operand(node, 0), self.constant(node.input[1])
        if shape is None or len(x.shape) != 4 or len(shape) != 2:
            raise Unsupported("a reshape that does not flatten a picture")
        return self.flattened(x)

    def make_flatten(self, node, attributes):
        x = self.operand(node, 0)
        return self.flattened(x) if len(x.shape) == 4 else x

    def flattened(self, x):
        _, height, width, channels = x.shape
        flat = self.tf.reshape(x, [x.shape[0], height * width * channels])
        return flat if height * width == 1 else Flat(flat, channels, height * width)

    def make_gemm(self, node, attributes):
        weights = self.constant(node.input[1])
        if weights is None or attributes.get("alpha", 1) != 1 or attributes.get("beta", 1) != 1 or attributes.get("transA"):
            raise Unsupported("a Gemm that is no dense layer")
        weights = weights.T if attributes.get("transB") else weights
        x = self.values[node.input[0]]
        if isinstance(x, Flat):
            weights = weights.reshape(x.channels, x.pixels, -1).transpose(1, 0, 2).reshape(x.channels * x.pixels, -1)
            x = x.value
        y = self.tf.matmul(x, np.ascontiguousarray(weights))
        return self.tf.nn.bias_add(y, self.constant(node.input[2]).reshape(-1)) if len(node.input) > 2 else y

    def make_softmax(self, node, attributes):
        x = self.operand(node, 0)
        if attributes.get("axis", -1) not in (-1, len(x.shape) - 1) or len(x.shape) == 4:
            raise Unsupported("a softmax over another axis than the last")
        return self.tf.nn.softmax(x)

    def make_identity(self, node, attributes):
        return self.operand(node, 0)

    make_dropout = make_identity


def main():
    model, result = sys.argv[1:3]
    network = Network(model)
    # Before TensorFlow is loaded, which takes its time.
    for node in network.graph.node:
        if not hasattr(network, "make_" + node.op_type.lower()):
            sys.exit("no .tflite: %s is not in make_tflite.py's table" % node.op_type)
    import tensorflow as tf
    signature = []
    for port in network.inputs:
        shape = [dimension.dim_value for dimension in port.type.tensor_type.shape.dim]
        if 0 in shape:
            sys.exit("no .tflite: input %s has a symbolic shape" % port.name)
        shape = [shape[axis] for axis in (0, 2, 3, 1)] if len(shape) == 4 else shape
        signature.append(tf.TensorSpec(shape, tf.float32, name="input%d" % len(signature)))
    try:
        function = tf.function(lambda *inputs: network.build(tf, *inputs), input_signature=signature).get_concrete_function()
    except Unsupported as problem:
        sys.exit("no .tflite: %s" % problem)
    converted = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    with open(result + ".part", "wb") as file:
        file.write(converted)
    os.replace(result + ".part", result)


if __name__ == "__main__":
    main()
