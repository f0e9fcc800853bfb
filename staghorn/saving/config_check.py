"""A look over a config before anything is made from it."""

from __future__ import annotations

from typing import Any

from staghorn.saving.errors import CorruptFileError, UnsafeFileError

# Objects that are code, or that read other files.
_REFUSED = {
    "__lambda__": "is a Python function as bytecode",
    "__typespec__": "names a class of TensorFlow to import",
    "TorchModuleWrapper": "is a pickled PyTorch module",
    "TFSMLayer": "is a layer that loads another file",
}
_MAX_DEPTH = 300
_CODE = """\
{where}: {path} {problem}. Code in a file never runs, and other files are never opened.
Make the model in Python, and load its weights:    model.load_weights(path)"""


def check_config(config: Any, where: str, start: tuple[str, ...] = ()) -> None:
    """Refuse what loading never makes, naming the place in the JSON.

    Args:
        config: parsed JSON.
        where: how errors name the file and member.
        start: the path of `config` itself in the file. Default: ().

    Raises:
        UnsafeFileError: code, other files, or a depth that no model has.
        CorruptFileError: an object whose class is not a name.

    Example:
        >>> from staghorn.saving.config_check import check_config
        >>> check_config({"class_name": "Dense", "config": {"units": 3}}, "'model.keras'")
    """
    pending: list[tuple[tuple[str, ...], Any]] = [(start, config)]
    while pending:
        path, value = pending.pop()
        if len(path) > _MAX_DEPTH:
            raise UnsafeFileError(f"{where}: it is nested more than {_MAX_DEPTH} levels deep.")
        if isinstance(value, dict):
            if "class_name" in value and "config" in value:
                _check_object(value, where, path)
            pending.extend(((*path, str(key)), inner) for key, inner in value.items())
        elif isinstance(value, list):
            pending.extend(((*path, f"[{i}]"), inner) for i, inner in enumerate(value))


def _check_object(value: dict[str, Any], where: str, path: tuple[str, ...]) -> None:
    place = f"'{'.'.join(path)[:500].replace('.[', '[')}'" if path else "the whole"
    for key in ("class_name", "module", "registered_name"):
        name = value.get(key)
        if not isinstance(name, str) and not (name is None and key != "class_name"):
            raise CorruptFileError(
                f"{where}: {place} has the {key} {str(name)[:100]!r} ({type(name).__name__}); "
                "expected a string."
            )
    problem = _REFUSED.get(value["class_name"])
    if problem is not None:
        raise UnsafeFileError(_CODE.format(where=where, path=place, problem=problem))
