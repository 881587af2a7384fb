"""Every estimator of scikit-learn can be saved and loaded with nbprod's own list of types."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_selector,
)
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.feature_selection import (
    SelectKBest,
    chi2,
    f_regression,
    mutual_info_classif,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    DotProduct,
    Matern,
    RationalQuadratic,
    WhiteKernel,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    LogisticRegression,
    Ridge,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import LinearSVC
from sklearn.utils import all_estimators
from threadpoolctl import threadpool_limits

from nbprod.flavors import TRUSTED

RANDOM = np.random.RandomState(0)
X = np.abs(RANDOM.normal(size=(40, 4)))
Y = (X[:, 0] > X[:, 1]).astype(int)
TARGET = X[:, 0] + 1.0
TEXTS = ["red green", "green blue"] * 20
TABLE = pd.DataFrame(
    {
        "a": X[:, 0],
        "b": np.where(X[:, 1] > 1, np.nan, X[:, 1]),
        "n": np.arange(40),
        "c": ["x", "y"] * 20,
        "d": pd.Categorical(["u", "v"] * 20),
    }
)

CANNOT = {"Birch": "skops refuses it, since the nodes of its tree refer to each other"}
"""Estimators that cannot be saved without pickle, and why."""

ARGUMENTS: dict[str, Any] = {
    "estimator": LogisticRegression(),
    "estimators": [("a", LogisticRegression()), ("b", LogisticRegression(C=2.0))],
    "steps": [("scale", StandardScaler()), ("model", LogisticRegression())],
    "transformers": [("scale", StandardScaler(), [0, 1])],
    "transformer_list": [("scale", StandardScaler())],
    "param_grid": {"C": [1.0, 2.0]},
    "param_distributions": {"C": [1.0, 2.0]},
    "dictionary": np.eye(4),
}

OWN: dict[str, dict[str, Any]] = {
    "FrozenEstimator": {"estimator": LogisticRegression().fit(X, Y)},
    "GaussianRandomProjection": {"n_components": 2},
    "SelfTrainingClassifier": {"estimator": LogisticRegression()},
    "SparseRandomProjection": {"n_components": 2},
    "TSNE": {"max_iter": 250},
}

SMALL = {"n_estimators": 2, "max_iter": 20, "cv": 2, "n_init": 1, "hidden_layer_sizes": (3,)}
"""Settings that make training quick, where an estimator has them."""

DATA: list[tuple[Any, ...]] = [
    (X, Y),
    (X, TARGET),
    (X, np.column_stack([Y, 1 - Y])),
    (X, np.column_stack([TARGET, TARGET])),
    (X[:, 0], TARGET),
    (TEXTS,),
    ([{"a": 1}, {"b": 2}],),
    (Y,),
    ([[1, 2], [3]],),
    (X @ X.T,),
]


def fitted(estimator: Any, *data: Any) -> Any:
    """Fit, on the first data that suits if none is given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for candidate in [data] if data else DATA:
            try:
                return estimator.fit(*candidate)
            except Exception:
                if data:
                    raise
    raise AssertionError(f"no data suits {estimator!r}")


def made(cls: Any) -> Any:
    """Build an estimator with what it needs, and small."""
    parameters = inspect.signature(cls).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    arguments = {name: ARGUMENTS[name] for name in needed}
    if "Regressor" in cls.__name__:
        linear: dict[str, Any] = {"estimators": [("a", Ridge())], "estimator": Ridge()}
        arguments = {name: linear.get(name, value) for name, value in arguments.items()}
    small = {p.name: SMALL[p.name] for p in parameters if p.name in SMALL and p.default is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are deprecated
        return cls(**(arguments | small | OWN.get(cls.__name__, {})))


def round_trip(estimator: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return skops.io.loads(skops.io.dumps(estimator), trusted=sorted(TRUSTED))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they bring on so few rows."""
    with threadpool_limits(1):
        yield


ESTIMATORS = {name: cls for name, cls in all_estimators() if cls.__module__.startswith("sklearn.")}


@pytest.mark.parametrize("name", sorted(ESTIMATORS.keys() - CANNOT.keys()))
def test_a_fitted_estimator_is_saved_and_loaded(name: str) -> None:
    estimator = fitted(made(ESTIMATORS[name]))
    assert type(round_trip(estimator)) is type(estimator)


@pytest.mark.parametrize("name", sorted(CANNOT))
def test_the_estimators_that_cannot_be_saved_are_known(name: str) -> None:
    with pytest.raises(TypeError, match="not supported"):
        skops.io.dumps(fitted(ESTIMATORS[name]()))


def columns() -> Any:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include=np.number)),
            ("one_hot", OneHotEncoder(handle_unknown="ignore"), ["c", "d"]),
            ("codes", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["c"]),
            ("means", TargetEncoder(), ["d"]),
        ]
    )


MODELS: dict[str, tuple[Any, Any, Any]] = {
    "columns and a forest": (make_pipeline(columns(), RandomForestClassifier(3)), TABLE, Y),
    "columns and boosting": (make_pipeline(columns(), HistGradientBoostingClassifier(max_iter=2)), TABLE, Y),
    "columns and calibration": (make_pipeline(columns(), CalibratedClassifierCV(LinearSVC(), cv=2)), TABLE, Y),
    "isotonic": (CalibratedClassifierCV(LinearSVC(), method="isotonic", cv=2), X, Y),
    "three classes": (GradientBoostingClassifier(n_estimators=2), X, np.arange(40) % 3),
    "labels of text": (RandomForestClassifier(2), X, np.where(Y == 1, "yes", "no")),
    "categories": (
        HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=2, early_stopping=True),
        TABLE[["a", "b", "d"]],
        Y,
    ),
    "monotonic": (HistGradientBoostingRegressor(monotonic_cst=[1, 0, 0, 0], max_iter=2), X, TARGET),
    "quantile": (HistGradientBoostingRegressor(loss="quantile", quantile=0.9, max_iter=2), X, TARGET),
    "poisson": (HistGradientBoostingRegressor(loss="poisson", max_iter=2), X, TARGET),
    "gamma": (HistGradientBoostingRegressor(loss="gamma", max_iter=2), X, TARGET),
    "huber": (GradientBoostingRegressor(loss="huber", n_estimators=2), X, TARGET),
    "exponential": (GradientBoostingClassifier(loss="exponential", n_estimators=2), X, Y),
    "tweedie": (TweedieRegressor(power=1.5, link="log"), X, TARGET),
    "hinge": (SGDClassifier(loss="modified_huber"), X, Y),
    "optimizer": (MLPClassifier((3,), solver="sgd", max_iter=5), X, Y),
    "gaussian process": (
        GaussianProcessRegressor(RBF() * Matern() + RationalQuadratic() + DotProduct() + WhiteKernel(), optimizer=None),
        X,
        TARGET,
    ),
    "ball tree": (KNeighborsClassifier(3, algorithm="ball_tree", metric="canberra"), X, Y),
    "k-d tree": (KNeighborsClassifier(3, algorithm="kd_tree", metric="chebyshev"), X.astype("float32"), Y),
    "grid by roc_auc": (GridSearchCV(LogisticRegression(), {"C": [1]}, scoring="roc_auc", cv=2), X, Y),
    "grid by two metrics": (
        GridSearchCV(LogisticRegression(), {"C": [1]}, scoring=["f1", "neg_log_loss"], refit="f1", cv=2),
        X,
        Y,
    ),
    "grid by a metric of one's own": (
        GridSearchCV(LogisticRegression(), {"C": [1]}, scoring=make_scorer(fbeta_score, beta=2), cv=TimeSeriesSplit(2)),
        X,
        Y,
    ),
    "random search": (
        RandomizedSearchCV(LogisticRegression(), {"C": [1, 2]}, n_iter=1, cv=RepeatedStratifiedKFold(n_splits=2)),
        X,
        Y,
    ),
    "shuffled splits": (GridSearchCV(LogisticRegression(), {"C": [1]}, cv=StratifiedShuffleSplit(2)), X, Y),
    "selection": (
        make_pipeline(SelectKBest(chi2, k=2), SelectKBest(mutual_info_classif, k=1), LogisticRegression()),
        X,
        Y,
    ),
    "selection for regression": (make_pipeline(SelectKBest(f_regression, k=2), Ridge()), X, TARGET),
    "logarithms": (
        TransformedTargetRegressor(
            make_pipeline(FunctionTransformer(np.log1p), Ridge()), func=np.log1p, inverse_func=np.expm1
        ),
        X,
        TARGET,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_model_as_people_build_them_answers_the_same_after_loading(name: str) -> None:
    estimator, rows, target = MODELS[name]
    model = fitted(estimator, rows, target)
    np.testing.assert_array_equal(round_trip(model).predict(rows), model.predict(rows))


def boosters() -> dict[str, Any]:
    """Estimators of the packages that are installed, LightGBM and XGBoost; there may be none."""
    found: dict[str, Any] = {}
    if find_spec("lightgbm"):
        lightgbm = importlib.import_module("lightgbm")
        found["lightgbm"] = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1)
    if find_spec("xgboost"):
        found["xgboost"] = importlib.import_module("xgboost").XGBClassifier(n_estimators=2)
    return found


def test_boosters_of_other_packages_are_trusted_inside_a_pipeline() -> None:
    for estimator in [GradientBoostingClassifier(n_estimators=2), *boosters().values()]:
        model = fitted(make_pipeline(StandardScaler(), estimator), X, Y)
        np.testing.assert_array_equal(round_trip(model).predict(X), model.predict(X))


def test_a_distribution_of_scipy_is_not_trusted_since_its_state_is_executed() -> None:
    from scipy.stats import uniform

    search = fitted(RandomizedSearchCV(LogisticRegression(), {"C": uniform(0.1, 1)}, n_iter=1, cv=2), X, Y)
    with pytest.raises(TypeError, match="rv_continuous_frozen"):
        round_trip(search)


VERSIONED = {"scipy._lib.array_api_compat.numpy._aliases.asarray", "scipy.interpolate._bsplines._BSpline"}
"""Names that SciPy has before version 1.18, or from it on."""


def test_every_name_on_the_list_is_there_so_that_no_typing_error_hides() -> None:
    missing = []
    for name in sorted(TRUSTED - VERSIONED):
        module, _, attribute = name.rpartition(".")
        if find_spec(name.partition(".")[0]) and not hasattr(importlib.import_module(module), attribute):
            missing.append(name)
    assert missing == []
    assert VERSIONED < TRUSTED


def test_nothing_on_the_list_can_reach_beyond_its_arguments() -> None:
    roots = {name.partition(".")[0] for name in TRUSTED}
    assert roots == {
        "builtins",
        "catboost",
        "collections",
        "functools",
        "lightgbm",
        "numpy",
        "scipy",
        "sklearn",
        "xgboost",
    }
    assert {name for name in TRUSTED if name.startswith(("builtins.", "functools."))} == {
        "builtins.object",
        "functools.partial",
    }
    words = ("load", "open", "exec", "eval", "import", "fetch", "save", "write", "memmap", "PyFunc")
    assert not [name for name in TRUSTED if any(word in name.rpartition(".")[2] for word in words)]
    assert not [
        name
        for name in TRUSTED
        if name.startswith(("sklearn.datasets", "sklearn.externals", "scipy.stats", "scipy.io"))
    ]
