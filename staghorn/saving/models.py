"""Whole models to files and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from staghorn.engine.config_check import building, check_config
from staghorn.engine.placeholders import weights_from_file
from staghorn.engine.serialization import (
    custom_object_scope,
    deserialize_keras_object,
    serialize_keras_object,
)
from staghorn.engine.spellings import say_once
from staghorn.layers.adaptation import expect
from staghorn.saving.archive import (
    CONFIG,
    Archive,
    checked_members,
    members_of,
    origin,
    parse_json,
    read_archive,
    write_checked_archive,
    write_folder,
)
from staghorn.saving.assets import collect_assets, hand_out_assets
from staghorn.saving.atomic import replacing_file, replacing_folder
from staghorn.saving.dialect import oldest_dialect
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.saving.hdf5 import WeightsFile, write_hdf5
from staghorn.saving.keras2_config import modern_config, modern_training
from staghorn.saving.legacy import (
    SUFFIXES,
    configs_of,
    restore_legacy,
    save_legacy,
)
from staghorn.saving.memory import Buffer, Pieces
from staghorn.saving.orbax import assign, is_orbax, open_step
from staghorn.saving.supplied import Supplied, named_lambdas, unknown_names
from staghorn.saving.walk import walk
from staghorn.saving.weights import check_overwrite, open_weights, restore, weights_groups

_TOO_DEEP = "{where}: the model is nested too deeply."

_NOT_BUILT = """\
{where}: the old HDF5 format does not say for which shapes a {cls} was built. Make it in Python:
    model = {cls}(...)
    model(inputs)
    model.load_weights({path!r})"""

_NOT_COMPILED = """\
{where}: the model was read, but it cannot be compiled as it was when it was saved.
{error}
Pass what is missing:       load_model(path, custom_objects={{"name": object}})
or load it uncompiled:      load_model(path, compile=False)"""


def save_model(
    model: Any,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    zipped: bool = True,
    include_optimizer: bool = True,
    save_format: str | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> None:
    """Save architecture, weights, and the optimizer's state, in Keras 3's `.keras` format.

    Args:
        model: the model.
        filepath: file name that ends in `.keras`; with `zipped=False`, name of a folder. A name
            that ends in `.h5` or `.hdf5` gives Keras 2's format.
        overwrite: replace what is there. Default: True.
        zipped: one zip file, or a folder with the same content. Default: True.
        include_optimizer: for `.h5` files: save how it was compiled. Default: True.
        save_format: the old way to say what the name's ending says. Default: None.
        extra: further members, name → content, which loading leaves alone. Default: None.

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
    if save_format is not None:
        say_once("save_format=", "a file name that ends in '.keras'", "save_model")
    if zipped and path.endswith(SUFFIXES):
        check_overwrite(path, overwrite)
        save_legacy(model, path, include_optimizer=include_optimizer)
        return
    if zipped and not path.endswith(".keras"):
        raise ValueError(
            f"save_model: the file name must end in '.keras', got {path!r}. "
            f"Write    model.save({path + '.keras'!r})"
        )
    check_overwrite(path, overwrite)
    members = model_members(model, extra)
    if zipped:
        with replacing_file(path) as file:
            write_checked_archive(file, members, **origin())
    else:
        with replacing_folder(path) as folder:
            write_folder(folder, checked_members(members, **origin()))


def model_members(
    model: Any, extra: Mapping[str, bytes] | None = None
) -> dict[str, Buffer | Pieces]:
    """Return the content of a model's archive, without its metadata."""
    with named_lambdas(model):
        config = oldest_dialect(serialize_keras_object(model))
    weights = write_hdf5(weights_groups(model), will_be_sealed=False)
    return members_of(config, weights, collect_assets(model), extra or {})


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    replace: Mapping[str, Any] | None = None,
) -> Any:
    """Load a model from a `.keras` or `.h5` file, or a folder saved with `zipped=False`.

    Args:
        filepath: the file; Staghorn's, or of any Keras from 2.0 on. Also a folder that
            `OrbaxCheckpoint` wrote, of which the last step is taken, or the folder of a step.
        custom_objects: name → your class or function, for what is not registered. Default: None.
        compile: compile it as it was, with the optimizer's state. Default: True.
        safe_mode: accepted for Keras's sake: code in a file never runs here. Default: True.
        replace: name of a Lambda layer → its function, since files hold no code that is run; a
            mask function goes by "name.mask". Default: None.

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
    supplied = Supplied(custom_objects or {}, replace or {})
    if path.suffix in SUFFIXES:
        return _model_from_legacy(open_weights(path), str(path), supplied, compile)
    if is_orbax(path):
        return _model_from_orbax(path, supplied, compile)
    return model_from_archive(read_archive(path), supplied, compile)


def model_from_archive(archive: Archive, supplied: Supplied, compile: bool = True) -> Any:
    """Make the model that an archive describes."""
    config = archive.config()
    training = config.pop("compile_config", None)
    weights = archive.weights()
    old = str(archive.metadata().get("keras_version")).startswith("2.")
    where = f"{archive.where}, member '{CONFIG}'"
    with weights_from_file(weights.count()):
        model = _make(config, training, where, supplied, compile, old, archive.assets())
        for path, item in walk(model):
            expect(item, weights.entry(path).shapes.get("0", (None, ""))[1])
        restore(model, weights, optimizer_state="required" if compile else "optional")
    hand_out_assets(model, archive.assets())
    return model


def _model_from_orbax(path: Path, supplied: Supplied, compile: bool) -> Any:
    step = open_step(path)
    archive, arrays = step.archive(), step.arrays()
    config, assets = archive.config(), archive.assets()
    training = config.pop("compile_config", None)
    with weights_from_file(sum(array.size for array in arrays.values())):
        model = _make(config, training, step.where, supplied, compile, False, assets)
        assign(model, arrays, step, optimizer_state="required")
    hand_out_assets(model, assets)
    return model


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make a model, with fresh weights, from what `to_json` returned, of any Keras from 2.0 on.

    Args:
        json_string: the text.
        custom_objects: as for `load_model`. Default: None.

    Example:
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> staghorn.models.model_from_json(model.to_json()).output_shape
        (None, 2)
    """
    config = parse_json(json_string.encode(), "the JSON text")
    if not isinstance(config, dict) or not {"class_name", "config"} <= set(config):
        raise ValueError(
            "model_from_json: the text describes no model; give what to_json returned."
        )
    training = config.pop("compile_config", None)
    supplied = Supplied(custom_objects or {})
    return _make(config, training, "the JSON text", supplied, True, old="module" not in config)


def _model_from_legacy(file: WeightsFile, path: str, supplied: Supplied, compile: bool) -> Any:
    config, training = configs_of(file, path)
    with weights_from_file(file.count()):
        model = _make(config, training, file.where, supplied, compile, old=True)
        if not model.built:
            cls = type(model).__name__
            raise ValueError(_NOT_BUILT.format(where=file.where, cls=cls, path=path))
        compiled = getattr(model, "optimizer", None) is not None
        restore_legacy(model, file, optimizer=compiled and compile)
    return model


def _make(
    config: dict[str, Any],
    training: dict[str, Any] | None,
    where: str,
    supplied: Supplied,
    compile: bool,
    old: bool,
    assets: Mapping[str, bytes] | None = None,
) -> Any:
    """Make a model without its weights, and compile it."""
    from staghorn.layers.layer import Layer

    with custom_object_scope(supplied.objects):
        if old:
            try:
                config = modern_config(config)
                training = modern_training(training, config) if training else None
            except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
                raise CorruptFileError(
                    f"{where}: no model can be made from it. ({error!r})"
                ) from error
            except RecursionError as error:
                raise UnsafeFileError(_TOO_DEEP.format(where=where)) from error
    supplied.fill_in(config, where)
    with custom_object_scope(supplied.objects):
        if training is not None:
            check_config(training, where, ("compile_config",))
        # A vocabulary's size is a size of weights behind it: a `call` is traced after it came.
        assets = assets or {}
        late = config.get("build_config") if assets else None
        model = _from_config(config, where, () if late is None else ("build_config",))
        if not isinstance(model, Layer):
            raise UnsafeFileError(f"{where}: it describes a {type(model).__name__}, not a model.")
        if late is not None and not model.built:
            hand_out_assets(model, assets)
            model.build_from_config(late)
        if compile and training:
            _compile(model, training, where)
    return model


def _from_config(config: dict[str, Any], where: str, without: tuple[str, ...] = ()) -> Any:
    try:
        with building(config, where, "layer"):
            return deserialize_keras_object({k: v for k, v in config.items() if k not in without})
    except (CorruptFileError, UnsafeFileError):
        raise
    except TypeError as error:
        raise TypeError(f"{where}: {unknown_names(config) or error}") from error
    except ValueError as error:
        raise ValueError(f"{where}: {unknown_names(config) or error}") from error


def _compile(model: Any, compile_config: dict[str, Any], where: str) -> None:
    try:
        with building(compile_config, where):
            model.compile_from_config(compile_config)
    except UnsafeFileError:
        raise
    except (TypeError, ValueError) as error:
        text = unknown_names(compile_config) or error
        raise ValueError(_NOT_COMPILED.format(where=where, error=text)) from error
