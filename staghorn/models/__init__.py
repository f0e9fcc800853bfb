"""Models: Sequential, Functional, and the base of subclassed ones."""

from typing import TYPE_CHECKING

from staghorn.engine.lazy import lazy_names

if TYPE_CHECKING:
    from staghorn.models.cloning import clone_model as clone_model
    from staghorn.models.functional import Functional as Functional
    from staghorn.models.model import Model as Model
    from staghorn.models.sequential import Sequential as Sequential
    from staghorn.saving import load_model as load_model
    from staghorn.saving import model_from_json as model_from_json
    from staghorn.saving import save_model as save_model

# module → what is public in it
_HOMES = {
    "models.cloning": "clone_model",
    "models.functional": "Functional",
    "models.model": "Model",
    "models.sequential": "Sequential",
    "saving": "load_model model_from_json save_model",
}

if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)
