"""Models as folders in the MLflow Model format: save, load, describe and replay them.

Estimators go through skops, never pickle, and are loaded with nbprod's own list of types, whatever list stands beside
them.
"""

from nbprod.flavors.facts import ModelFacts, describe, keep_predictions, read_manifest
from nbprod.flavors.loading import begin_importing, download, import_mlflow, load
from nbprod.flavors.replay import Replay, Replayed, replay
from nbprod.flavors.saving import Saved, flavor_of, save, wrap_skops
from nbprod.flavors.trusted import TRUSTED

__all__ = [
    "TRUSTED",
    "ModelFacts",
    "Replay",
    "Replayed",
    "Saved",
    "begin_importing",
    "describe",
    "download",
    "flavor_of",
    "import_mlflow",
    "keep_predictions",
    "load",
    "read_manifest",
    "replay",
    "save",
    "wrap_skops",
]
