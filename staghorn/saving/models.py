"""Whole models to files and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from staghorn.engine.serialization import (
    custom_object_scope,
    deserialize_keras_object,
    serialize_keras_object,
)
from staghorn.saving.archive import (
    CONFIG,
    Archive,
    members_of,
    read_archive,
    write_archive,
    write_folder,
)
from staghorn.saving.assets import collect_assets, hand_out_assets
from staghorn.saving.atomic import replacing_file, replacing_folder
from staghorn.saving.config_check import check_config
from staghorn.saving.dialect import oldest_dialect
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.saving.weights import check_overwrite, restore, weights_bytes

_LEGACY = """\
{call}: {path!r} names the old HDF5 model format, which is not written or read here.
Use the '.keras' format:    {example}"""

_NOT_COMPILED = """\
{where}: the model was read, but it cannot be compiled as it was when it was saved.
{error}
Pass what is missing:       load_model(path, custom_objects={{"name": object}})
or load it uncompiled:      load_model(path, compile=False)"""


def save_model(
    model: Any, filepath: str | os.PathLike[str], overwrite: bool = True, zipped: bool = True
) -> None:
    """Save architecture, weights, and the optimizer's state, in Keras 3's `.keras` format.

    Args:
        model: the model.
        filepath: file name that ends in `.keras`; with `zipped=False`, name of a folder.
        overwrite: replace what is there. Default: True.
        zipped: one zip file, or a folder with the same content. Default: True.

    Raises:
        ValueError: wrong file name, or weights that have no place in a file.
        FileExistsError: if it is there and `overwrite` is False.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/model.keras"
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> staghorn.saving.save_model(model, path)
        >>> staghorn.saving.load_model(path).count_params()
        10

    Notes: the file is the old one or the complete new one at every moment. The same model gives
    the same bytes, except for the date. Keras 3 opens it; what only newer versions know is written
    only where the model needs it.
    """
    path = os.fspath(filepath)
    if zipped and path.endswith((".h5", ".hdf5")):
        example = f"model.save({os.path.splitext(path)[0] + '.keras'!r})"
        raise ValueError(_LEGACY.format(call="save_model", path=path, example=example))
    if zipped and not path.endswith(".keras"):
        raise ValueError(
            f"save_model: the file name must end in '.keras', got {path!r}. "
            f"Write    model.save({path + '.keras'!r})"
        )
    check_overwrite(path, overwrite)
    members = model_members(model)
    if zipped:
        with replacing_file(path) as file:
            write_archive(file, members)
    else:
        with replacing_folder(path) as folder:
            write_folder(folder, members)


def model_members(model: Any) -> dict[str, bytes]:
    """Return the content of a model's archive."""
    config = oldest_dialect(serialize_keras_object(model))
    return members_of(config, weights_bytes(model), collect_assets(model))


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Load a model from a `.keras` file, or from a folder that was saved with `zipped=False`.

    Args:
        filepath: the file; Staghorn's or Keras's.
        custom_objects: name → your class or function, for what is not registered. Default: None.
        compile: compile it as it was, with the optimizer's state. Default: True.
        safe_mode: accepted for Keras's sake: code in a file never runs here. Default: True.

    Raises:
        FileNotFoundError: if there is no such file.
        CorruptFileError: if the file is damaged.
        UnsafeFileError: if the file asks for what loading never does.
        ValueError: if weights and architecture do not fit, or it cannot be compiled.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/model.keras"
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> model.save(path)
        >>> again = staghorn.saving.load_model(path)
        >>> bool((again.get_weights()[0] == model.get_weights()[0]).all())
        True

    Notes: an optimizer whose state is missing or does not fit is an error; Keras warns and starts
    it afresh.
    """
    del safe_mode
    path = Path(filepath)
    if path.suffix in (".h5", ".hdf5"):
        example = "open it in Keras once, and there    model.save('model.keras')"
        raise ValueError(_LEGACY.format(call="load_model", path=str(path), example=example))
    return model_from_archive(read_archive(path), custom_objects, compile)


def model_from_archive(
    archive: Archive, custom_objects: Mapping[str, Any] | None = None, compile: bool = True
) -> Any:
    """Make the model that an archive describes."""
    config = archive.config()
    compile_config = config.pop("compile_config", None)
    if compile_config is not None:
        check_config(compile_config, f"{archive.where}, member '{CONFIG}'", ("compile_config",))
    weights = archive.weights()
    with custom_object_scope(custom_objects or {}):
        model = _from_config(config, archive.where)
        if compile and compile_config:
            _compile(model, compile_config, archive.where)
    restore(model, weights, optimizer_state="required" if compile else "optional")
    hand_out_assets(model, archive.assets())
    return model


def _from_config(config: dict[str, Any], where: str) -> Any:
    from staghorn.layers.layer import Layer

    where = f"{where}, member '{CONFIG}'"
    check_config(config, where)
    try:
        model = deserialize_keras_object(config)
    except RecursionError as error:
        raise UnsafeFileError(f"{where}: the model is nested too deeply.") from error
    except TypeError as error:
        raise TypeError(f"{where}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    except (KeyError, IndexError, AttributeError) as error:
        raise CorruptFileError(
            f"{where}: no model can be made from it ({type(error).__name__}: {error})."
        ) from error
    if not isinstance(model, Layer):
        raise UnsafeFileError(f"{where}: it describes a {type(model).__name__}, not a model.")
    return model


def _compile(model: Any, compile_config: dict[str, Any], where: str) -> None:
    try:
        model.compile_from_config(compile_config)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(_NOT_COMPILED.format(where=where, error=error)) from error
