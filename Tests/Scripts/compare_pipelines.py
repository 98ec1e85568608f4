#!/usr/bin/env python3
"""Trains small models with scikit-learn, XGBoost and LightGBM, converts them, and compares what Ingot's artifact computes with ONNX Runtime.

Every model is compiled once, with a symbolic number of rows, and runs on many rows and on one; features are missing (NaN) where the
model takes that. Labels must be equal. With --operators, models of one operator of ai.onnx.ml instead, with random attributes.

  compare_pipelines.py                    # all pipelines
  compare_pipelines.py forest svc         # those whose name contains one of the words
  compare_pipelines.py --operators        # single operators
"""
import argparse
import os
import sys
import tempfile
import warnings

import child_process
import ml_operator_cases
from benchmark_graphs import default_ingot
from onnxruntime_reference import Reference
from required_packages import require
from tensor_agreement import compare_all
from tensor_files import read_outputs, write_inputs

np = require("numpy")
ROWS = 150


class Data:
    """What models are trained on: features and answers, for two classes, several classes, and numbers."""

    def __init__(self, random):
        from sklearn.datasets import load_diabetes, load_iris, load_wine
        x = random.standard_normal((700, 12)).astype(np.float32)
        signal = x[:, 0] * x[:, 1] + x[:, 2] ** 2 - x[:, 3]
        noise = 0.3 * random.standard_normal(700)
        self.features = x
        self.number = (signal + noise).astype(np.float32)
        self.numbers = np.stack([self.number, x[:, 4] - self.number], 1)
        self.binary = (signal + noise > 0.5).astype(np.int64)
        self.classes = np.digitize(signal + noise, [-0.5, 0.8, 2.0]).astype(np.int64)
        self.missing = x.copy()
        self.missing[random.random(x.shape) < 0.1] = np.nan
        self.iris, self.wine, self.diabetes = [(set.data.astype(np.float32), set.target) for set in (load_iris(), load_wine(), load_diabetes())]


def scikit_learn(data):
    """(name, trained model, rows)"""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA, TruncatedSVD
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import (AdaBoostClassifier, BaggingClassifier, ExtraTreesClassifier, ExtraTreesRegressor, GradientBoostingClassifier, GradientBoostingRegressor,
                                  HistGradientBoostingClassifier, HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier, RandomForestRegressor, StackingClassifier, VotingClassifier)
    from sklearn.feature_selection import SelectKBest, f_classif
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge, SGDClassifier
    from sklearn.mixture import GaussianMixture
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.naive_bayes import BernoulliNB, GaussianNB
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Binarizer, KBinsDiscretizer, MaxAbsScaler, MinMaxScaler, Normalizer, PolynomialFeatures, PowerTransformer, RobustScaler, StandardScaler
    from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, OneClassSVM
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    x, binary, classes, number, numbers, missing = data.features, data.binary, data.classes, data.number, data.numbers, data.missing
    few = slice(0, 250)
    made = [
        ("decision tree binary", DecisionTreeClassifier(max_depth=6), x, binary), ("decision tree classes", DecisionTreeClassifier(), x, classes),
        ("decision tree regressor", DecisionTreeRegressor(), x, number), ("decision tree two numbers", DecisionTreeRegressor(max_depth=8), x, numbers),
        ("decision tree of one leaf", DecisionTreeRegressor(max_depth=1, min_samples_leaf=400), x, number),
        ("random forest binary", RandomForestClassifier(25), x, binary), ("random forest classes", RandomForestClassifier(40, max_depth=9), x, classes),
        ("random forest iris", RandomForestClassifier(10), *data.iris), ("random forest regressor", RandomForestRegressor(30), x, number),
        ("random forest two numbers", RandomForestRegressor(20, max_depth=7), x, numbers), ("extra trees classes", ExtraTreesClassifier(30), *data.wine),
        ("extra trees regressor", ExtraTreesRegressor(20), *data.diabetes), ("gradient boosting binary", GradientBoostingClassifier(n_estimators=40), x, binary),
        ("gradient boosting classes", GradientBoostingClassifier(n_estimators=20), x, classes), ("gradient boosting regressor", GradientBoostingRegressor(n_estimators=60), x, number),
        ("histogram boosting binary", HistGradientBoostingClassifier(max_iter=30), missing, binary), ("histogram boosting classes", HistGradientBoostingClassifier(max_iter=15), missing, classes),
        ("histogram boosting regressor", HistGradientBoostingRegressor(max_iter=40), missing, number), ("isolation forest", IsolationForest(n_estimators=30), x, None),
        ("bagging", BaggingClassifier(DecisionTreeClassifier(max_depth=4), 8), x, classes), ("ada boost", AdaBoostClassifier(n_estimators=10), x, classes),
        ("voting", VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3))], voting="soft", flatten_transform=False), x, classes),
        ("stacking", StackingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3))]), x, binary),
        ("calibrated", CalibratedClassifierCV(LinearSVC(), cv=3), x, binary), ("one against the rest", OneVsRestClassifier(LogisticRegression()), x, classes),
        ("logistic regression binary", make_pipeline(StandardScaler(), LogisticRegression()), x, binary), ("logistic regression classes", make_pipeline(MinMaxScaler(), LogisticRegression()), x, classes),
        ("linear regression", LinearRegression(), x, number), ("linear regression two numbers", LinearRegression(), x, numbers), ("ridge", make_pipeline(RobustScaler(), Ridge()), x, number),
        ("elastic net", ElasticNet(0.1), *data.diabetes), ("sgd classifier", SGDClassifier(loss="log_loss"), x, classes), ("linear discriminant analysis", LinearDiscriminantAnalysis(), *data.iris),
        ("svc rbf binary", make_pipeline(StandardScaler(), SVC()), x[few], binary[few]), ("svc rbf classes", make_pipeline(StandardScaler(), SVC()), x[few], classes[few]),
        ("svc probabilities binary", SVC(probability=True), x[few], binary[few]), ("svc probabilities classes", make_pipeline(PCA(6), SVC(probability=True)), x[few], classes[few]),
        ("svc linear", SVC(kernel="linear"), x[few], classes[few]), ("svc polynomial", SVC(kernel="poly", degree=3), x[few], binary[few]), ("svc sigmoid", SVC(kernel="sigmoid"), x[few], classes[few]),
        ("nu svc", NuSVC(nu=0.3, probability=True), *data.iris), ("linear svc", LinearSVC(), x, classes), ("svr", SVR(), x[few], number[few]), ("svr linear", SVR(kernel="linear"), x[few], number[few]),
        ("one class svm", OneClassSVM(), x[few], None), ("k neighbours classifier", KNeighborsClassifier(5), x[few], classes[few]), ("k neighbours regressor", KNeighborsRegressor(3), x[few], number[few]),
        ("mlp classifier", make_pipeline(StandardScaler(), MLPClassifier((20, 10), max_iter=80)), x, classes), ("mlp binary", MLPClassifier((8,), activation="tanh", max_iter=80), x, binary),
        ("mlp regressor", MLPRegressor(hidden_layer_sizes=(16,), activation="logistic", max_iter=80), x, number), ("gaussian naive bayes", GaussianNB(), *data.wine), ("bernoulli naive bayes", BernoulliNB(), x, classes),
        ("k means", KMeans(4, n_init=2), x, None), ("gaussian mixture", GaussianMixture(3), x, None), ("gaussian process", GaussianProcessRegressor(), x[:80], number[:80]),
        ("pca forest", make_pipeline(StandardScaler(), PCA(5), RandomForestClassifier(10)), x, classes), ("svd logistic", make_pipeline(TruncatedSVD(4), LogisticRegression()), x, binary),
        ("polynomial ridge", make_pipeline(PolynomialFeatures(2), Ridge()), x, number), ("imputer forest", make_pipeline(SimpleImputer(), RandomForestClassifier(10)), missing, classes),
        ("select and bins", make_pipeline(SelectKBest(f_classif, k=5), KBinsDiscretizer(4, encode="onehot-dense"), LogisticRegression()), x, classes),
        ("normalizer l1", make_pipeline(Normalizer("l1"), LogisticRegression()), x, binary), ("normalizer max", make_pipeline(Normalizer("max"), MaxAbsScaler(), Ridge()), x, number),
        ("binarizer trees", make_pipeline(Binarizer(threshold=0.1), DecisionTreeClassifier(max_depth=5)), x, classes), ("power transformer", make_pipeline(PowerTransformer(), LogisticRegression()), x, binary),
    ]
    for name, model, features, answers in made:
        yield name, model, features, answers


def converted_scikit_learn(data):
    from skl2onnx import to_onnx
    for name, model, features, answers in scikit_learn(data):
        def build():
            model.fit(features) if answers is None else model.fit(features, answers)
            classifier = hasattr(model, "predict_proba") or hasattr(model, "classes_")
            target = {"": 17, "ai.onnx.ml": 3}
            try:
                return to_onnx(model, features[:1], options={"zipmap": False} if classifier else None, target_opset=target), "X"
            except NameError:
                return to_onnx(model, features[:1], target_opset=target), "X"  # It knows no such option.
        yield "sklearn " + name, build, features


def boosted(data):
    """XGBoost and LightGBM."""
    import lightgbm
    import xgboost
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    x, missing = data.features, data.missing
    types = [("X", FloatTensorType([None, x.shape[1]]))]
    common = dict(n_estimators=25, n_jobs=1)
    for name, model, features, answers in [
            ("binary", xgboost.XGBClassifier(max_depth=4, **common), missing, data.binary), ("classes", xgboost.XGBClassifier(max_depth=5, **common), missing, data.classes),
            ("regressor", xgboost.XGBRegressor(max_depth=6, **common), missing, data.number), ("regressor depth 10", xgboost.XGBRegressor(max_depth=10, n_estimators=80, n_jobs=1), x, data.number),
            ("poisson", xgboost.XGBRegressor(objective="count:poisson", **common), x, np.abs(data.number)), ("logistic numbers", xgboost.XGBRegressor(objective="reg:logistic", **common), x, data.binary),
            ("forest", xgboost.XGBRFRegressor(max_depth=5, **common), x, data.number)]:
        yield "xgboost " + name, lambda model=model, features=features, answers=answers: (convert_xgboost(model.fit(features, answers), initial_types=types, target_opset=15), "X"), features
    common["verbose"] = -1
    for name, model, features, answers in [
            ("binary", lightgbm.LGBMClassifier(**common), missing, data.binary), ("classes", lightgbm.LGBMClassifier(**common), missing, data.classes),
            ("regressor", lightgbm.LGBMRegressor(num_leaves=63, **common), missing, data.number), ("regressor 300 leaves", lightgbm.LGBMRegressor(num_leaves=300, min_child_samples=2, **common), x, data.number),
            ("forest", lightgbm.LGBMRegressor(boosting_type="rf", bagging_freq=1, bagging_fraction=0.7, **common), x, data.number),
            ("without missing", lightgbm.LGBMRegressor(use_missing=False, **common), x, data.number), ("zero as missing", lightgbm.LGBMRegressor(zero_as_missing=True, **common), x, data.number)]:
        def build(model=model, features=features, answers=answers):
            extra = {"zipmap": False} if hasattr(model, "predict_proba") else {}
            return convert_lightgbm(model.fit(features, answers), initial_types=types, target_opset=15, **extra), "X"
        yield "lightgbm " + name, build, features


def take_arrays_as_attributes():
    """skl2onnx passes arrays and truth values where onnx 1.22 takes lists of numbers only."""
    import onnx.helper
    plain = onnx.helper.make_attribute

    def make_attribute(key, value, *arguments, **options):
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(value, (list, tuple)):
            value = [int(item) if isinstance(item, (bool, np.bool_)) else item for item in value]
        return plain(key, value, *arguments, **options)
    onnx.helper.make_attribute = make_attribute


class Comparison:
    def __init__(self, options):
        self.options, self.agreed, self.failures, self.skipped = options, 0, [], []

    def compare(self, name, model, inputs):
        """Runs on all rows and on one, from one artifact."""
        with tempfile.TemporaryDirectory(prefix="ingot-pipelines-") as folder:
            path, artifact = os.path.join(folder, "model.onnx"), os.path.join(folder, "artifact")
            with open(path, "wb") as file:
                file.write(model)
            try:
                reference = Reference(path)
            except Exception as problem:
                return self.skip(name, "ONNX Runtime: " + str(problem).splitlines()[0][:150])
            compiled = child_process.run([self.options.ingot, "compile", path, "-o", artifact], 120)
            if compiled.status != 0:
                return self.report(name, "compile: " + compiled.complaint)
            for number, rows in enumerate([slice(None), slice(3, 4)]):
                given = {key: np.ascontiguousarray(value[rows]) for key, value in inputs.items()}
                want = reference.run(given)
                results = os.path.join(folder, "results%d" % number)
                finished = child_process.run([artifact, "run", "--threads", "2" if number == 0 else "1"] + write_inputs(given, os.path.join(folder, "inputs")) + ["--output", results], 60)
                if finished.status != 0:
                    return self.report(name, "run: " + finished.complaint)
                agreement = compare_all(read_outputs(want, results), want, self.options.rtol, self.options.atol)
                if not agreement.passed:
                    return self.report(name, "%s rows: %s" % ("all" if number == 0 else "one", agreement.reason))
            self.report(name, None)

    def skip(self, name, reason):
        self.skipped.append(name)
        print("%-60s not compared: %s" % (name, reason), flush=True)

    def report(self, name, reason):
        if reason is None:
            self.agreed += 1
        else:
            self.failures.append(name)
        print("%-60s %s" % (name, reason or "ok"), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--operators", action="store_true", help="models of one operator")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--atol", type=float, default=1e-4)
    options = parser.parse_args()
    comparison = Comparison(options)
    warnings.simplefilter("ignore")
    wanted = lambda name: not options.words or any(word in name for word in options.words)
    if options.operators:
        for name, model, inputs in ml_operator_cases.cases(options.seed):
            if wanted(name):
                comparison.compare(name, model, inputs)
    else:
        np.random.seed(options.seed)
        take_arrays_as_attributes()
        data = Data(np.random.default_rng(options.seed))
        for family in (converted_scikit_learn, boosted):
            for name, build, features in family(data):
                if not wanted(name):
                    continue
                try:
                    model, feature = build()
                except Exception as problem:
                    comparison.skip(name, "%s: %s" % (type(problem).__name__, str(problem).splitlines()[0][:120] if str(problem) else ""))
                    continue
                comparison.compare(name, model.SerializeToString(), {feature: features[:ROWS]})
    print("%d agree, %d do not, %d were not compared" % (comparison.agreed, len(comparison.failures), len(comparison.skipped)))
    sys.exit(1 if comparison.failures else 0)


if __name__ == "__main__":
    main()
