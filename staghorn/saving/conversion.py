"""A model's file in another format, and what of it came along."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from staghorn.engine.spellings import OldSpelling
from staghorn.saving.inspection import FileContents, inspect
from staghorn.saving.models import load_model, save_model
from staghorn.saving.weights import check_overwrite

_WEIGHTS_ALONE = """\
'{old}' holds weights and no architecture, so no model can be made of it. In Python:
    model.load_weights('{old}'); model.save('{new}')"""


def convert(
    old: str | os.PathLike[str],
    new: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> tuple[list[str], list[str]]:
    """Write the model in a file to another one, in the format that its name ends in.

    Args:
        old: a file or folder of a model, of any Keras from 2.0 on.
        new: a file that ends in `.keras`, `.h5` or `.hdf5`.
        custom_objects: as for `load_model`. Default: None.
        overwrite: replace `new` if it is there. Default: False.

    Returns:
        What was kept, and what was dropped, in words.

    Raises:
        ValueError: if `old` has no architecture, or `new` ends otherwise.
        FileExistsError: if `new` is there and `overwrite` is False.

    Example:
        >>> import tempfile
        >>> from staghorn.saving.conversion import convert
        >>> old, new = tempfile.mkdtemp() + "/model.keras", tempfile.mkdtemp() + "/model.h5"
        >>> staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)]).save(old)
        >>> convert(old, new)
        (["architecture: Sequential 'sequential'", 'weights: 10 numbers'], [])
    """
    old, new = os.fspath(old), os.fspath(new)
    if not new.endswith((".keras", ".h5", ".hdf5")) or new.endswith(".weights.h5"):
        raise ValueError(
            f"convert: the new file must end in '.keras' or '.h5', got {new!r}. Weights alone are "
            "saved by    model.save_weights(path)"
        )
    before = inspect(old)
    if before.model is None and not before.refused:
        raise ValueError(_WEIGHTS_ALONE.format(old=old, new=new))
    check_overwrite(new, overwrite)
    parts = _parts(before)
    try:
        model = load_model(old, custom_objects)
    except (TypeError, ValueError) as error:
        if not before.training:
            raise
        # A class that only compile() needs must not hold the weights back; the others still raise.
        try:
            model = load_model(old, custom_objects, compile=False)
        except (TypeError, ValueError):
            raise error from None
        parts["training"] = f"training: it cannot be compiled as it was. {error}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OldSpelling)  # the format was asked for
        save_model(model, new)
    kept = _parts(inspect(new))
    return list(kept.values()), [text for part, text in parts.items() if part not in kept]


def _parts(contents: FileContents) -> dict[str, str]:
    numbers = contents.numbers()
    parts = {
        "architecture": contents.model,
        "weights": f"{numbers:,} numbers" if numbers else None,
        "training": contents.training.get("optimizer"),
        "state of the optimizer": None,
        "assets": ", ".join(contents.assets),
        "state of the run": contents.state and f"epoch {contents.state.get('epoch')}",
    }
    if contents.optimizer_step is not None:
        parts["state of the optimizer"] = f"step {contents.optimizer_step:,}"
    return {part: f"{part}: {text}" for part, text in parts.items() if text}
