"""Models of one operator of ai.onnx.ml with random attributes, for comparisons with ONNX Runtime: modes, transforms and aggregates that
converters do not write."""
from required_packages import require

np = require("numpy")
onnx = require("onnx")
from onnx import TensorProto, helper, numpy_helper

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def model(nodes, inputs, outputs, ml=3):
    graph = helper.make_graph(nodes, "case", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", ml)], ir_version=9)


def rows(element, columns):
    return [helper.make_tensor_value_info("x", element, ["N", columns])]


def float_output(name="y"):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def classifier_outputs():
    return [helper.make_tensor_value_info("label", TensorProto.INT64, None), float_output("scores")]


class Forest:
    """Random trees as the lists that TreeEnsembleClassifier and TreeEnsembleRegressor take."""

    def __init__(self, random, trees, depth, features, targets, modes, missing=False, full_leaves=False, positive=False, sparse=False, values=None, bound=None):
        self.lists = {key: [] for key in ["treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true"]}
        self.weights = {key: [] for key in ["treeids", "nodeids", "ids", "weights"]}
        for tree in range(trees):
            self.random, self.next = random, 0
            only = int(random.integers(targets))
            self.grow(tree, depth, features, targets, modes, missing, full_leaves, positive, sparse, values, only)

    def grow(self, tree, depth, features, targets, modes, missing, full_leaves, positive, sparse, values, only):
        random, node = self.random, self.next
        self.next += 1
        place = len(self.lists["nodeids"])
        is_leaf = depth == 0 or node > 0 and random.random() < 0.2
        value = float(np.float32(random.choice(values) if values is not None else random.standard_normal()))
        entry = dict(treeids=tree, nodeids=node, featureids=int(random.integers(features)), modes="LEAF" if is_leaf else str(random.choice(modes)), values=0.0 if is_leaf else value,
                     truenodeids=0, falsenodeids=0, missing_value_tracks_true=int(random.integers(2)) if missing and not is_leaf else 0)
        for key, item in entry.items():
            self.lists[key].append(item)
        if is_leaf:
            for target in range(targets) if full_leaves else [int(random.integers(targets))] if sparse else [only]:
                weight = random.random() if positive else random.standard_normal()
                for key, item in dict(treeids=tree, nodeids=node, ids=target, weights=float(np.float32(weight))).items():
                    self.weights[key].append(item)
            return node
        arguments = (features, targets, modes, missing, full_leaves, positive, sparse, values, only)
        self.lists["truenodeids"][place] = self.grow(tree, depth - 1, *arguments)
        self.lists["falsenodeids"][place] = self.grow(tree, depth - 1, *arguments)
        return node

    def attributes(self, prefix, as_tensors=False):
        found = {"nodes_" + key: items for key, items in self.lists.items()}
        found.update({prefix + "_" + key: items for key, items in self.weights.items()})
        if as_tensors:
            for key in ["nodes_values", prefix + "_weights"]:
                found[key + "_as_tensor"] = numpy_helper.from_array(np.array(found.pop(key), np.float64), key)
        return found


def data(random, count, columns, dtype=np.float32, missing=False, values=None):
    x = random.choice(values, (count, columns)) if values is not None else random.standard_normal((count, columns))
    if missing and np.issubdtype(dtype, np.floating):
        x[random.random(x.shape) < 0.15] = np.nan
    return x.astype(dtype)


def regressors(seed):
    random = np.random.default_rng(seed)
    for number, (mode, transform, aggregate, targets, missing, dtype) in enumerate([
            ("BRANCH_LEQ", "NONE", "SUM", 1, False, np.float32), ("BRANCH_LEQ", "NONE", "AVERAGE", 1, True, np.float32), ("BRANCH_LT", "NONE", "SUM", 1, True, np.float32),
            ("BRANCH_GTE", "NONE", "MIN", 1, False, np.float32), ("BRANCH_GT", "NONE", "MAX", 1, True, np.float32), ("BRANCH_EQ", "NONE", "SUM", 1, True, np.float32),
            ("BRANCH_NEQ", "NONE", "SUM", 2, True, np.float32), ("BRANCH_LEQ", "SOFTMAX", "SUM", 3, False, np.float32), ("BRANCH_LEQ", "LOGISTIC", "SUM", 3, False, np.float32),
            ("BRANCH_LEQ", "SOFTMAX_ZERO", "SUM", 3, False, np.float32), ("BRANCH_LEQ", "NONE", "MIN", 3, False, np.float32), ("BRANCH_LEQ", "NONE", "MAX", 3, True, np.float32),
            ("BRANCH_LEQ", "NONE", "AVERAGE", 3, True, np.float32), ("BRANCH_LEQ", "NONE", "SUM", 1, True, np.float64), ("BRANCH_LT", "NONE", "AVERAGE", 2, True, np.float64),
            ("mixed", "NONE", "SUM", 2, True, np.float32), ("BRANCH_LEQ", "PROBIT", "AVERAGE", 2, False, np.float32)]):
        values = [-1.0, 0.0, 0.5, 1.0, 2.0] if mode in ("BRANCH_EQ", "BRANCH_NEQ", "mixed") else None
        forest = Forest(random, 5 + 8 * number, 3 + number % 6, 7, targets, MODES if mode == "mixed" else [mode], missing, full_leaves=targets > 1, positive=transform == "PROBIT", values=values)
        attributes = forest.attributes("target", as_tensors=dtype == np.float64)
        if number % 3 == 0:
            attributes["base_values"] = [0.25 * (k + 1) for k in range(targets)]
            if dtype == np.float64:
                attributes["base_values_as_tensor"] = numpy_helper.from_array(np.array(attributes.pop("base_values")), "base_values")
        node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=targets, post_transform=transform, aggregate_function=aggregate, **attributes)
        name = "regressor %s %s %s %d targets %s%s" % (mode, transform, aggregate, targets, np.dtype(dtype).name, " nan" if missing else "")
        element = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE}[dtype]
        yield name, model([node], rows(element, 7), [float_output()]), {"x": data(random, 150, 7, dtype, missing, values)}


def classifiers(seed):
    random = np.random.default_rng(seed)
    cases = []
    for transform in TRANSFORMS[:4]:
        for kind in ["one column", "one column positive", "second column", "both columns", "three classes", "three classes sparse", "one tree a class", "five classes"]:
            cases.append((kind, transform, len(cases) % 3))
    for kind, transform, base in cases:
        classes = {"three classes": 3, "three classes sparse": 3, "one tree a class": 4, "five classes": 5}.get(kind, 2)
        targets = 1 if kind in ("one column", "one column positive", "second column") else classes
        forest = Forest(random, 12, 5, 6, targets, ["BRANCH_LEQ"], missing=base == 1, full_leaves=kind in ("both columns", "three classes", "five classes"), positive="positive" in kind or kind == "both columns",
                        sparse="sparse" in kind)
        if kind == "one column positive":
            forest.weights["weights"] = [weight / 12 for weight in forest.weights["weights"]]
        if kind == "second column":
            forest.weights["ids"] = [1] * len(forest.weights["ids"])
        attributes = forest.attributes("class")
        if base and kind not in ("second column", "both columns"):
            attributes["base_values"] = [0.1] if targets == 1 and base == 1 else [0.1 * k for k in range(classes)]
        node = helper.make_node("TreeEnsembleClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", classlabels_int64s=[3 * k + 2 for k in range(classes)], post_transform=transform, **attributes)
        name = "classifier %s, %s, base %d" % (kind, transform, len(attributes.get("base_values", [])))
        yield name, model([node], rows(TensorProto.FLOAT, 6), classifier_outputs()), {"x": data(random, 130, 6, missing=base == 1)}


def ensembles(seed):
    """TreeEnsemble of ai.onnx.ml 5, with membership."""
    random = np.random.default_rng(seed)
    for number, dtype in enumerate([np.float32, np.float64, np.float32]):
        members = [[1.0, 2.0, 5.0], [0.0, 3.0]]
        lists = dict(nodes_featureids=[0, 2, 1, 0], nodes_truenodeids=[1, 0, 3, 1], nodes_trueleafs=[0, 1, 0, 1], nodes_falsenodeids=[2, 1, 2, 3], nodes_falseleafs=[0, 1, 1, 1])
        modes = np.array([6, 0, 6, 3] if number < 2 else [0, 4, 5, 1], np.uint8)
        attributes = dict(
            lists, nodes_modes=numpy_helper.from_array(modes, "modes"), nodes_splits=numpy_helper.from_array(np.array([2, 1, 3, 4], dtype), "splits"), tree_roots=[0], n_targets=2,
            leaf_targetids=[0, 1, 0, 1], leaf_weights=numpy_helper.from_array(np.array([1.5, -2, 3, 4.25], dtype), "weights"), aggregate_function=1, post_transform=0)
        if number < 2:
            attributes["membership_values"] = numpy_helper.from_array(np.array([value for group in members for value in group + [np.nan]], dtype), "members")
        node = helper.make_node("TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", **attributes)
        element = TensorProto.FLOAT if dtype == np.float32 else TensorProto.DOUBLE
        output = helper.make_tensor_value_info("y", element, None)
        yield "ensemble %d %s" % (number, np.dtype(dtype).name), model([node], rows(element, 3), [output], ml=5), {"x": data(random, 90, 3, dtype, number == 1, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])}


def support_vectors(seed):
    random = np.random.default_rng(seed)
    numbers = lambda count: [float(value) for value in random.standard_normal(count).astype(np.float32)]
    for kernel in ["LINEAR", "POLY", "RBF", "SIGMOID"]:
        for classes in [2, 4]:
            for has_probabilities in [False, True]:
                counts = [3 + k for k in range(classes)]
                total, pairs = sum(counts), classes * (classes - 1) // 2
                attributes = dict(kernel_type=kernel, kernel_params=[0.2, 0.5, 2.0 if classes == 2 else 3.0], vectors_per_class=counts, support_vectors=numbers(total * 5), coefficients=numbers(total * (classes - 1)),
                                  rho=numbers(pairs), classlabels_ints=list(range(10, 10 + classes)))
                if has_probabilities:
                    attributes.update(prob_a=[-abs(value) for value in numbers(pairs)], prob_b=numbers(pairs))
                node = helper.make_node("SVMClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", **attributes)
                yield "svm classifier %s %d classes%s" % (kernel, classes, " probabilities" if has_probabilities else ""), model([node], rows(TensorProto.FLOAT, 5), classifier_outputs()), {"x": data(random, 40, 5)}
        node = helper.make_node("SVMRegressor", ["x"], ["y"], domain="ai.onnx.ml", kernel_type=kernel, kernel_params=[0.3, 0.25, 3.0], n_supports=6, support_vectors=numbers(30), coefficients=numbers(6), rho=[0.5],
                                one_class=int(kernel == "SIGMOID"))
        yield "svm regressor %s" % kernel, model([node], rows(TensorProto.FLOAT, 5), [float_output()]), {"x": data(random, 40, 5)}
    node = helper.make_node("SVMClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", coefficients=numbers(15), rho=[0.25], classlabels_ints=[4, 5, 6], kernel_params=[0.0, 0.0, 0.0], post_transform="SOFTMAX")
    yield "svm classifier without vectors", model([node], rows(TensorProto.FLOAT, 5), classifier_outputs()), {"x": data(random, 40, 5)}


def linear_models(seed):
    random = np.random.default_rng(seed)
    numbers = lambda count: [float(value) for value in random.standard_normal(count).astype(np.float32)]
    for transform in TRANSFORMS[:4]:
        for classes in [1, 3]:
            attributes = dict(coefficients=numbers(4 * classes), intercepts=numbers(classes), classlabels_ints=[7, 9] if classes == 1 else [1, 2, 3], post_transform=transform)
            node = helper.make_node("LinearClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", **attributes)
            yield "linear classifier %d rows %s" % (classes, transform), model([node], rows(TensorProto.FLOAT, 4), classifier_outputs()), {"x": data(random, 30, 4)}
            node = helper.make_node("LinearRegressor", ["x"], ["y"], domain="ai.onnx.ml", targets=classes, coefficients=numbers(4 * classes), intercepts=numbers(classes), post_transform=transform)
            yield "linear regressor %d targets %s" % (classes, transform), model([node], rows(TensorProto.FLOAT, 4), [float_output()]), {"x": data(random, 30, 4)}


def preparation(seed):
    random = np.random.default_rng(seed)
    elements = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE, np.int64: TensorProto.INT64, np.int32: TensorProto.INT32}
    for dtype, element in elements.items():
        x = data(random, 20, 4, dtype) if np.issubdtype(dtype, np.floating) else random.integers(-5, 6, (20, 4)).astype(dtype)
        x[3] = 0
        for offset, scale in [([0.5], [2.0]), ([0.5, 1, -1, 0], [2, 1, 0.5, 3.0])]:
            yield "scaler %s %d" % (np.dtype(dtype).name, len(offset)), model([helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=offset, scale=scale)], rows(element, 4), [float_output()]), {"x": x}
        for norm in ["MAX", "L1", "L2"]:
            yield "normalizer %s %s" % (norm, np.dtype(dtype).name), model([helper.make_node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml", norm=norm)], rows(element, 4), [float_output()]), {"x": x}
        if dtype in (np.float32, np.int64):
            name = "floats" if dtype == np.float32 else "int64s"
            missing = float("nan") if dtype == np.float32 else 3
            y = x.copy()
            y[::3, 1] = missing
            for values in ([7], [1, 2, 3, 4]):
                node = helper.make_node("Imputer", ["x"], ["y"], domain="ai.onnx.ml", **{"imputed_value_" + name: [float(v) for v in values] if dtype == np.float32 else values,
                                                                                        "replaced_value_" + name[:-1]: missing})
                yield "imputer %s %d" % (np.dtype(dtype).name, len(values)), model([node], rows(element, 4), [helper.make_tensor_value_info("y", element, None)]), {"x": y}
        indices = helper.make_tensor("i", TensorProto.INT64, [3], [2, 0, 3])
        graph = model([helper.make_node("ArrayFeatureExtractor", ["x", "i"], ["y"], domain="ai.onnx.ml")], rows(element, 4), [helper.make_tensor_value_info("y", element, None)])
        graph.graph.initializer.append(indices)
        yield "feature extractor %s" % np.dtype(dtype).name, graph, {"x": x}
    yield "binarizer", model([helper.make_node("Binarizer", ["x"], ["y"], domain="ai.onnx.ml", threshold=0.25)], rows(TensorProto.FLOAT, 4), [float_output()]), {"x": data(random, 20, 4)}
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3]), helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 2])]
    node = helper.make_node("FeatureVectorizer", ["x", "z"], ["y"], domain="ai.onnx.ml", inputdimensions=[3, 2])
    yield "feature vectorizer", model([node], inputs, [float_output()]), {"x": data(random, 9, 3), "z": data(random, 9, 2)}


def cases(seed=1):
    for family in [regressors, classifiers, ensembles, support_vectors, linear_models, preparation]:
        for name, built, inputs in family(seed):
            yield name, built.SerializeToString(), inputs
