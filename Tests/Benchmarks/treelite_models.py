"""Trees of an ONNX model as a treelite model, and as C code that tl2cgen makes of it, compiled with gcc -O3."""
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Scripts"))
from required_packages import require

np = require("numpy")
onnx = require("onnx")
from onnx import helper


def tree_node(model):
    return next(node for node in model.graph.node if node.op_type in ("TreeEnsembleClassifier", "TreeEnsembleRegressor"))


def without_maps(model):
    """The model with tensors for what ZipMap turns into maps, and no map."""
    for node in [node for node in model.graph.node if node.op_type == "ZipMap"]:
        model.graph.node.remove(node)
        for output in model.graph.output:
            if output.name == node.output[0]:
                output.CopyFrom(helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, ["N", None]))
    return model


def feature_count(model):
    return model.graph.input[0].type.tensor_type.shape.dim[1].dim_value


def build(model):
    """A treelite model that gives the sums of the leaves, without transforms."""
    from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation
    node = tree_node(model)
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    prefix = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    targets = max(values[prefix + "_ids"]) + 1
    weights, owners = {}, {}
    for tree, leaf, target, weight in zip(*(values[prefix + "_" + key] for key in ("treeids", "nodeids", "ids", "weights"))):
        weights.setdefault((tree, leaf), np.zeros(targets, np.float32))[target] += weight
        owners.setdefault(tree, set()).add(target)
    is_vector = any(len(owned) > 1 for owned in owners.values())
    trees = list(dict.fromkeys(values["nodes_treeids"]))
    annotation = [-1 if is_vector else min(owners.get(tree, {0})) for tree in trees]
    metadata = Metadata(num_feature=feature_count(model), task_type="kMultiClf" if targets > 1 else "kRegressor", average_tree_output=False, num_target=1, num_class=[targets],
                        leaf_vector_shape=(1, targets if is_vector else 1))
    builder = ModelBuilder(threshold_type="float32", leaf_output_type="float32", metadata=metadata,
                           tree_annotation=TreeAnnotation(num_tree=len(trees), target_id=[0] * len(trees), class_id=annotation if targets > 1 else [0] * len(trees)),
                           postprocessor=PostProcessorFunc(name="identity_multiclass" if targets > 1 else "identity"), base_scores=[0.0] * targets)
    missing = values.get("nodes_missing_value_tracks_true") or [0] * len(values["nodes_treeids"])
    groups = {tree: [] for tree in trees}
    for place, tree in enumerate(values["nodes_treeids"]):
        groups[tree].append(place)
    comparison = {b"BRANCH_LEQ": "<=", b"BRANCH_LT": "<", b"BRANCH_GT": ">", b"BRANCH_GTE": ">="}
    for tree, target in zip(trees, annotation):
        builder.start_tree()
        for place in groups[tree]:
            number, mode = values["nodes_nodeids"][place], values["nodes_modes"][place]
            builder.start_node(number)
            if mode == b"LEAF":
                weight = weights.get((tree, number), np.zeros(targets, np.float32))
                builder.leaf(weight.tolist() if is_vector else float(weight[max(0, target)]))
            else:
                builder.numerical_test(values["nodes_featureids"][place], float(values["nodes_values"][place]), bool(missing[place]), comparison[mode],
                                       values["nodes_truenodeids"][place], values["nodes_falsenodeids"][place])
            builder.end_node()
        builder.end_tree()
    return builder.commit()


def compile_with_gcc(model, path, units):
    """C code by tl2cgen as a shared library; kept if it is there."""
    import tl2cgen
    if not os.path.exists(path):
        tl2cgen.export_lib(model, toolchain="gcc", libpath=path, params={"parallel_comp": units}, options=["-O3", "-march=native"], verbose=False)
    return path
