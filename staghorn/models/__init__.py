"""Models: Sequential, Functional, and the base of subclassed ones."""

from staghorn.models.cloning import clone_model as clone_model
from staghorn.models.functional import Functional as Functional
from staghorn.models.model import Model as Model
from staghorn.models.sequential import Sequential as Sequential
from staghorn.saving import load_model as load_model
from staghorn.saving import model_from_json as model_from_json
from staghorn.saving import save_model as save_model

__all__ = [
    "Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json",
    "save_model",
]  # fmt: skip
