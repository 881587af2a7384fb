"""The types that nbprod lets skops load, beside the public estimators and ufuncs that skops lets through by itself.

skops builds a named type without running its constructor and puts the stored state into it; a named function it only
looks up, but an estimator may call it later with the rows to score, and `functools.partial` with stored arguments. So
a name may stand here only if a forged file could do no more with it than give wrong numbers: its state is plain data
and other listed types, and as a function it computes from its arguments alone. Nothing here writes, connects, starts a
process, imports, evaluates text, or calls something by a name that it was given. (Constructors of boosters can read a
model file.)

There are two kinds of compiled code that do not check what they are given: trees of scikit-learn follow stored
indices, and boosters of other packages parse stored bytes. A forged one can crash the process or read memory outside
its arrays. skops leaves them out for that; nbprod cannot, since forests are what people use. Therefore whoever loads
checks the folder's digest first: a model whose bytes are the recorded ones was built by the run that is on record.

Deliberately absent are the distributions of `scipy.stats`, whose state is executed as code when it is loaded;
`PyFuncDistance`, `pairwise_distances` and `pairwise_kernels`, which call what they are given; all of
`sklearn.datasets`; and every function that loads something.
"""

from __future__ import annotations


def _names(module: str, names: str) -> set[str]:
    return {f"{module}.{name}" for name in names.split()}


# Compiled trees: arrays of nodes; see above for what a forged one can do.
_TREES = (
    _names("sklearn.tree._tree", "Tree")
    | _names("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor")
    | _names("sklearn.ensemble._hist_gradient_boosting.binning", "_BinMapper")
    | _names("sklearn.neighbors._kd_tree", "KDTree KDTree32 KDTree64")
    | _names("sklearn.neighbors._ball_tree", "BallTree BallTree32 BallTree64")
    | _names("sklearn.cluster._bisect_k_means", "_BisectingTree")
)

# Boosters of other packages: their estimators hold settings, their boosters the bytes that their own parser reads.
_BOOSTERS = (
    _names("lightgbm.basic", "Booster")
    | _names("lightgbm.sklearn", "LGBMClassifier LGBMModel LGBMRanker LGBMRegressor")
    | _names("xgboost.core", "Booster")
    | _names("xgboost.sklearn", "XGBClassifier XGBModel XGBRanker XGBRegressor XGBRFClassifier XGBRFRegressor")
    | _names("catboost.core", "CatBoost CatBoostClassifier CatBoostRanker CatBoostRegressor")
)

# Containers and descriptions of data: they hold values and do nothing.
_DATA = (
    {"builtins.object", "collections.OrderedDict", "collections.defaultdict", "numpy.dtype"}
    | _names("numpy", "floating generic inexact integer number signedinteger unsignedinteger")
    | {f"scipy.sparse._{form}.{form}_{kind}" for form in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
       for kind in ("array", "matrix")}
    | _names("sklearn.utils._bunch", "Bunch")
    | _names("sklearn.utils._metadata_requests", "MetadataRequest MethodMetadataRequest")
)  # fmt: skip

# What is left of training inside fitted estimators: numbers, and estimators that are checked in their turn.
_FITTED = (
    _names("scipy.interpolate._bsplines", "BSpline _BSpline")  # the second from SciPy 1.18 on
    | _names("sklearn.calibration", "_CalibratedClassifier _SigmoidCalibration _TemperatureScaling")
    | _names("sklearn.gaussian_process._gpc", "_BinaryGaussianProcessClassifierLaplace")
    | _names("sklearn.impute._iterative", "IterativeImputer _ImputerTriplet")
    | _names("sklearn.model_selection._search_successive_halving", "HalvingGridSearchCV HalvingRandomSearchCV")
    | _names("sklearn.multiclass", "_ConstantPredictor")
    | _names("sklearn.neural_network._stochastic_optimizers", "AdamOptimizer SGDOptimizer")
)

# Formulas as objects: losses, links, kernels of Gaussian processes, distances; their state is a few parameters.
_FORMULAS = (
    _names("sklearn._loss.link", "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit")
    | _names(
        "sklearn._loss.loss",
        "AbsoluteError ExponentialLoss HalfBinomialLoss HalfBinomialLossArrayAPI HalfGammaLoss HalfMultinomialLoss "
        "HalfMultinomialLossArrayAPI HalfPoissonLoss HalfPoissonLossArrayAPI HalfSquaredError HalfTweedieLoss "
        "HalfTweedieLossIdentity HuberLoss PinballLoss",
    )
    | _names(
        "sklearn._loss._loss",
        "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss CyHalfPoissonLoss "
        "CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss",
    )
    | _names(
        "sklearn.linear_model._sgd_fast",
        "EpsilonInsensitive Hinge ModifiedHuber SquaredEpsilonInsensitive SquaredHinge",
    )
    | _names(
        "sklearn.gaussian_process.kernels",
        "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Hyperparameter Matern PairwiseKernel "
        "Product RBF RationalQuadratic Sum WhiteKernel",
    )
    | {
        f"sklearn.metrics._dist_metrics.{name}Distance{bits}"
        for name in (
            "BrayCurtis", "Canberra", "Chebyshev", "Dice", "Euclidean", "Hamming", "Haversine", "Jaccard", "Kulsinski",
            "Mahalanobis", "Manhattan", "Matching", "Minkowski", "RogersTanimoto", "RussellRao", "SEuclidean",
            "SokalMichener", "SokalSneath",
        )
        for bits in ("32", "64")
    }
)  # fmt: skip

# How a search split its rows and what it scored with: settings, and metrics, which are functions of two arrays.
_SEARCH = (
    _names(
        "sklearn.model_selection._split",
        "GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut LeavePGroupsOut LeavePOut PredefinedSplit "
        "RepeatedKFold RepeatedStratifiedKFold ShuffleSplit StratifiedGroupKFold StratifiedKFold "
        "StratifiedShuffleSplit TimeSeriesSplit _CVIterableWrapper",
    )
    | _names(
        "sklearn.metrics._scorer",
        "_CurveScorer _MultimetricScorer _PassthroughScorer _Scorer negative_likelihood_ratio "
        "positive_likelihood_ratio",
    )
    | _names(
        "sklearn.metrics._classification",
        "accuracy_score balanced_accuracy_score brier_score_loss cohen_kappa_score d2_brier_score d2_log_loss_score "
        "f1_score fbeta_score hamming_loss hinge_loss jaccard_score log_loss matthews_corrcoef precision_score "
        "recall_score zero_one_loss",
    )
    | _names(
        "sklearn.metrics._ranking",
        "average_precision_score coverage_error dcg_score label_ranking_average_precision_score label_ranking_loss "
        "ndcg_score roc_auc_score top_k_accuracy_score",
    )
    | _names(
        "sklearn.metrics._regression",
        "d2_absolute_error_score d2_pinball_score d2_tweedie_score explained_variance_score max_error "
        "mean_absolute_error mean_absolute_percentage_error mean_gamma_deviance mean_pinball_loss "
        "mean_poisson_deviance mean_squared_error mean_squared_log_error mean_tweedie_deviance median_absolute_error "
        "r2_score root_mean_squared_error root_mean_squared_log_error",
    )
    | _names(
        "sklearn.metrics.cluster._supervised",
        "adjusted_mutual_info_score adjusted_rand_score completeness_score fowlkes_mallows_score homogeneity_score "
        "mutual_info_score normalized_mutual_info_score rand_score v_measure_score",
    )
)

# Functions that estimators take as settings: statistics of columns, kernels, choices of columns, checks of an array.
_FUNCTIONS = (
    _names(
        "numpy",
        "amax amin asarray clip max mean median min nan_to_num nanmax nanmean nanmedian nanmin nanstd nansum prod "
        "ravel std sum var",
    )
    | _names("scipy._lib.array_api_compat.numpy._aliases", "asarray")  # until SciPy 1.18
    | _names("sklearn.cluster._kmeans", "_kmeans_single_elkan _kmeans_single_lloyd")
    | _names("sklearn.compose._column_transformer", "make_column_selector")
    | _names("sklearn.feature_selection._mutual_info", "mutual_info_classif mutual_info_regression")
    | _names("sklearn.feature_selection._univariate_selection", "chi2 f_classif f_oneway f_regression r_regression")
    | _names(
        "sklearn.metrics.pairwise",
        "additive_chi2_kernel chi2_kernel cosine_distances cosine_similarity euclidean_distances haversine_distances "
        "laplacian_kernel linear_kernel manhattan_distances nan_euclidean_distances polynomial_kernel rbf_kernel "
        "sigmoid_kernel",
    )
    | _names("sklearn.utils.validation", "check_array")
    | {"functools.partial"}  # of a listed function, with stored arguments
)

TRUSTED: frozenset[str] = frozenset(_TREES | _BOOSTERS | _DATA | _FITTED | _FORMULAS | _SEARCH | _FUNCTIONS)
"""Names of types and functions as skops writes them, ``module.Class``."""
