"""KerasFileEditor: look into a file of weights, change what is in it, write it again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from staghorn.engine.progbar import write
from staghorn.engine.registry import suggestion
from staghorn.saving.archive import read_archive
from staghorn.saving.atomic import replacing_file
from staghorn.saving.hdf5 import WeightsFile, write_hdf5
from staghorn.saving.memory import sealed
from staghorn.saving.weights import open_weights, weights_groups

Nest = dict[str, Any]


class KerasFileEditor:
    """The weights of a `.keras` or `.weights.h5` file as a nest that can be changed and saved.

    Args:
        filepath: the file. Reading it is as safe as loading it: nothing in it is run.

    Attributes:
        weights_dict: object → (objects inside it, and weight → array), from the outside in.
        object_metadata: path of an object → {"name": the name it had in the model}.
        config: the model's config, for `.keras` files; otherwise None.
        metadata: versions and date, for `.keras` files; otherwise None.

    Raises:
        ValueError: for another kind of file.
        CorruptFileError: if the file is damaged.
        UnsafeFileError: if the file asks for more than reading its arrays.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/model.weights.h5"
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> model.save_weights(path)
        >>> editor = staghorn.saving.KerasFileEditor(path)  # doctest: +ELLIPSIS
        Keras model file '...model.weights.h5'
        >>> editor.summary()
        Weights structure
          layers
            dense ('dense...')
              0: shape=(4, 2), dtype=float32
              1: shape=(2,), dtype=float32
        >>> editor.rename_object("dense", "dense_1")
        >>> editor.save(path)

    Notes: files keep the names of objects, which Keras drops; `compare` counts each weight once.
    """

    def __init__(self, filepath: str | os.PathLike[str]) -> None:
        self.filepath = os.fspath(filepath)
        self.metadata: Nest | None = None
        self.config: Nest | None = None
        if self.filepath.endswith(".keras"):
            archive = read_archive(self.filepath)
            self.metadata, self.config, file = (
                archive.metadata(), archive.config(), archive.weights(),
            )  # fmt: skip
        elif self.filepath.endswith(".weights.h5"):
            file = open_weights(Path(self.filepath))
        else:
            raise ValueError(
                "KerasFileEditor: the file name must end in '.keras' or '.weights.h5', "
                f"got {self.filepath!r}."
            )
        self.weights_dict: Nest = {}
        self.object_metadata: dict[str, Nest] = {}
        for group in file.groups_with_arrays():
            self._take(file, group)
        write(f"Keras model file '{self.filepath}'\n")
        if self.metadata:
            version, date = (self.metadata.get(k) for k in ("keras_version", "date_saved"))
            write(f"Saved with Keras {version} - date: {date}\n")

    def _take(self, file: WeightsFile, group: str) -> None:
        path = group.removesuffix("vars").rstrip("/")
        nest = self.weights_dict
        for part in path.split("/") if path else ():
            nest = nest.setdefault(part, {})
        nest.update((key, file.read(f"{group}/{key}")) for key in file.arrays_in(group))
        name = file.names(group, "name")
        if name:
            self.object_metadata[f"/{path}"] = {"name": name[0]}

    # Looking -------------------------------------------------------------------------------

    def summary(self) -> None:
        """Print objects and weights, those inside others further to the right."""
        write("Weights structure\n")
        for path, value in _walk(self.weights_dict):
            *outer, key = path.split("/")[1:]
            text = f"{key}: shape={np.shape(value)}, dtype={getattr(value, 'dtype', '?')}"
            if isinstance(value, dict):
                name = self.object_metadata.get(path, {}).get("name")
                text = f"{key} ('{name}')" if name else key
            write("  " * (len(outer) + 1) + text + "\n")

    def compare(self, reference_model: Any) -> Nest:
        """Print what differs from a model, and return how much.

        Args:
            reference_model: a built model.

        Returns:
            `status` ("success" or "error"), `error_count`, and `match_count`, the weights of equal
            shape. What is missing as a whole is one error.
        """
        reference: Nest = {}
        for path, (_, arrays) in weights_groups(reference_model).items():
            nest = reference
            for part in path.split("/") if path and arrays else ():
                nest = nest.setdefault(part, {})
            nest.update(arrays)
        problems = [*_differences(self.weights_dict, reference, "")]
        matches = sum(
            not isinstance(found, dict) and np.shape(_at(reference, path)) == np.shape(found)
            for path, found in _walk(self.weights_dict)
        )
        write("Running comparison\n" + "".join(f"...{problem}\n" for problem in problems))
        write(f"{matches} matching weight(s), {len(problems)} error(s)\n")
        return {
            "status": "error" if problems else "success",
            "error_count": len(problems),
            "match_count": matches,
        }

    # Changing ------------------------------------------------------------------------------

    def _find(self, name: str) -> tuple[Nest, str, str]:
        """Return the nest that holds an object, its key in there, and its path."""
        objects = [path for path, value in _walk(self.weights_dict) if isinstance(value, dict)]
        wanted = f"/{name.strip('/')}"
        found = [p for p in objects if p == wanted or ("/" not in name and p.endswith(wanted))]
        if len(found) != 1:
            known = [path[1:] for path in objects]
            what = f"occurs more than once: {found}. Give" if found else "is not there. Give"
            raise ValueError(
                f"KerasFileEditor: {name!r} {what} the path of an object, as summary() shows it."
                f"{'' if found else suggestion(name, [*known, *(k.split('/')[-1] for k in known)])}"
            )
        outer, _, key = found[0].rpartition("/")
        return _at(self.weights_dict, outer), key, found[0]

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give an object another key.

        Args:
            object_name: its key, or its path such as "layers/dense_2".
            new_name: the new key, without "/".
        """
        if "/" in new_name:
            raise ValueError(
                f"KerasFileEditor: new_name is a key without '/', got {new_name!r}; objects stay "
                "where they are."
            )
        holder, key, path = self._find(object_name)
        if new_name in holder and new_name != key:
            raise ValueError(f"KerasFileEditor: there is a {new_name!r} beside {object_name!r}.")
        holder[new_name] = holder.pop(key)
        renamed = f"{path.rpartition('/')[0]}/{new_name}"
        self.object_metadata = {
            renamed + old.removeprefix(path) if f"{old}/".startswith(f"{path}/") else old: value
            for old, value in self.object_metadata.items()
        }

    def delete_object(self, object_name: str) -> None:
        """Remove an object and all that is inside it."""
        holder, key, path = self._find(object_name)
        del holder[key]
        self.object_metadata = {
            old: value
            for old, value in self.object_metadata.items()
            if not f"{old}/".startswith(f"{path}/")
        }

    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Add an object, such as "layers/dense_2".

        Args:
            object_path: its path, in an object that is there.
            weights: key → array, usually "0", "1", ...
        """
        _check(weights)
        outer, _, key = object_path.strip("/").rpartition("/")
        holder = self.weights_dict
        if outer:
            above, last, _ = self._find(f"/{outer}")
            holder = above[last]
        holder[key] = dict(weights)

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Remove one weight of an object."""
        holder, key, _ = self._find(object_name)
        if weight_name not in holder[key]:
            raise ValueError(
                f"KerasFileEditor: {object_name!r} has no weight {weight_name!r}; "
                f"it has {list(holder[key])}."
            )
        del holder[key][weight_name]

    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Add weights to an object, or replace them.

        Args:
            object_name: its key or path.
            weights: key → array, usually "0", "1", ...
        """
        _check(weights)
        holder, key, _ = self._find(object_name)
        holder[key].update(weights)

    # Saving --------------------------------------------------------------------------------

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write the weights to a `.weights.h5` file.

        Args:
            filepath: the file; it is the old one or the complete new one at every moment.
        """
        path = os.fspath(filepath)
        if not path.endswith(".weights.h5"):
            raise ValueError(
                f"KerasFileEditor: the file name must end in '.weights.h5', got {path!r}."
            )
        groups = {}
        for place, nest in (("", self.weights_dict), *_walk(self.weights_dict)):
            if isinstance(nest, dict):
                arrays = {k: v for k, v in nest.items() if not isinstance(v, dict)}
                name = self.object_metadata.get(place or "/", {}).get("name")
                if arrays or name:
                    groups[place.strip("/")] = (name, arrays)
        pieces = write_hdf5(groups)
        with replacing_file(path) as file:
            file.writelines(sealed(pieces))

    def resave_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Write the weights to a `.weights.h5` file: another name of `save`."""
        self.save(filepath)


def _check(weights: Any) -> None:
    if not isinstance(weights, Mapping):
        raise ValueError(
            "KerasFileEditor: weights must be a dict from keys ('0', '1', ...) to arrays, "
            f"got {type(weights).__name__}."
        )


def _walk(nest: Nest, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, object or array), an object before what is inside it."""
    for key, value in nest.items():
        yield f"{path}/{key}", value
        if isinstance(value, dict):
            yield from _walk(value, f"{path}/{key}")


def _at(nest: Any, path: str) -> Any:
    for part in path.split("/")[1:]:
        nest = nest.get(part) if isinstance(nest, dict) else None
    return nest


def _differences(saved: Any, reference: Any, path: str) -> Iterator[str]:
    for key in {**saved, **reference}:
        here, kind = f"{path}/{key}", "Object"
        if key not in saved or key not in reference:
            there, other = ("file", "model") if key in saved else ("model", "file")
            value = saved.get(key, reference.get(key))
            kind = "Object" if isinstance(value, dict) else "Weight"
            yield f"{kind} {here} is in the {there} and not in the {other}"
        elif isinstance(saved[key], dict) and isinstance(reference[key], dict):
            yield from _differences(saved[key], reference[key], here)
        elif np.shape(saved[key]) != np.shape(reference[key]):
            shapes = np.shape(saved[key]), np.shape(reference[key])
            yield f"Weight {here} has the shape {shapes[0]} in the file, {shapes[1]} in the model"
