"""Files that ask for code to be run, or for objects that a file may not name."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from tests.attacks import recipes
from tests.attacks.harness import EITHER, REFUSED, WRONG
from tests.attacks.recipes import (
    SLOTS,
    Ways,
    bytecode,
    dense,
    examine,
    function,
    in_optimizer,
    thing,
    with_dense,
    with_layer,
    with_node,
)

# Public functions that do something: reading, writing, loading, changing settings.
DANGEROUS = (
    "get_file", "load_model", "save_model", "plot_model", "image_dataset_from_directory",
    "load_data", "load_img", "save_img", "set_floatx", "set_epsilon", "set_image_data_format",
    "set_dtype_policy", "enable_unsafe_deserialization", "register_keras_serializable",
    "get_custom_objects", "clear_session", "set_random_seed", "deserialize", "serialize", "get",
    "model_from_json", "load_weights", "custom_object_scope", "set_global_attribute", "install",
)  # fmt: skip
FOREIGN = (
    ("os", "system"), ("builtins", "eval"), ("importlib", "import_module"), ("numpy", "load"),
    ("jax.experimental.host_callback", "call"), ("keras.src.utils.file_utils", "get_file"),
    ("keras.src.backend.common.global_state", "set_global_attribute"),
    ("staghorn.engine.serialization", "register_keras_serializable"),
    ("staghorn.saving.models", "load_model"), ("keras.src.saving.saving_lib", "load_model"),
)  # fmt: skip


def lambda_layer(**config: Any) -> dict[str, Any]:
    return thing("keras.layers", "Lambda", {"name": "l", "arguments": {}, **config})


def s01_bytecode(ways: Ways) -> None:
    code = bytecode(ways.canary)
    for part in ("function", "output_shape", "mask"):
        config = {"function": function("relu"), part: code}
        # The shape is found by tracing; what the file says of it is dropped.
        verdict = EITHER if part == "output_shape" else REFUSED
        ways.config(f"S01 {part}", with_layer(lambda_layer(**config)), verdict)
        if part == "function":
            ways.add("S01", "layer_from_config", WRONG, config=lambda_layer(**config))
            ways.add("S03", "clone", WRONG, config=lambda_layer(**config))
    for slot in SLOTS:
        ways.slot("S01", slot, code)
    ways.config("S01 any key", with_dense(units=code))
    ways.config("S01 nested", with_dense(name={"deep": [[code]]}))
    ways.config("S01 in a call", with_node([code], {}))
    value = {"class_name": "__lambda__", "config": {"value": [1, 2]}}
    ways.slot("S01 value", "loss", value)
    ways.slot("S01 value", "initializer", value)
    spec = {"class_name": "__typespec__", "spec_name": "TensorSpec", "module": "os", "config": []}
    ways.slot("S04 typespec", "layer", spec)


def s02_old_bytecode(ways: Ways) -> None:
    code = bytecode(ways.canary)["config"]["code"]
    for form in ([code, None, None], {"class_name": "__lambda__", "config": {"code": code}}):
        for part in ("function", "output_shape", "mask"):
            config = {"name": "l", "function": "relu", f"{part}_type": "lambda", part: form}
            layer = {"class_name": "Lambda", "config": config}
            verdict = EITHER if part == "output_shape" else REFUSED
            ways.old_model(f"S02 {part} {type(form).__name__}", with_layer(layer), verdict)


def s03_no_switch(ways: Ways) -> None:
    config = with_layer(lambda_layer(function=bytecode(ways.canary)))
    path = ways.place(".keras")
    path.write_bytes(recipes.zipped({
        **recipes.members("stack"), recipes.CONFIG: json.dumps(config).encode()
    }))  # fmt: skip
    ways.add("S03 unsafe", "load_model", REFUSED, path, options={"safe_mode": False})
    ways.add("S03", "in_a_thread", REFUSED, path)


def s04_foreign_names(ways: Ways) -> None:
    for module, name in FOREIGN:
        for slot in ("layer", "activation", "loss"):
            ways.slot(f"S04 {module}", slot, function(name, module), WRONG)
    for slot in SLOTS:
        ways.slot("S04 function", slot, function("system", "os"), WRONG)
        ways.slot("S04 class", slot, thing("subprocess", "Popen", {"args": ["id"]}), WRONG)
        # Losses and metrics by name are looked up by `fit`, in their tables.
        later = slot in ("loss", "losses", "metric")
        ways.slot("S04 name", slot, "os.system", EITHER if later else WRONG)
    for name in ("__builtins__", "..", "a.b.c", "importlib.import_module", "", " Dense"):
        ways.slot(f"S04 {name!r}", "layer", thing("keras.layers", name, {}), WRONG)


def s05_arguments(ways: Ways) -> None:
    secret = str(ways.canary.text)
    tensor = {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, 4], "dtype": "float32", "keras_history": ["a", 0, 0]},
    }
    for name, args, kwargs in (
        ("path", [], {"inputs": secret}),
        ("path first", [secret], {}),
        ("unknown", [tensor], {"file": secret}),
        ("more", [tensor, secret, secret], {}),
        ("training", [tensor], {"training": thing("keras.layers", "Dense", {"units": 2})}),
        ("object", [thing("keras.layers", "Dense", {"units": 2})], {}),
        ("self", [tensor], {"self": 1}),
    ):
        verdict = EITHER if name == "training" else WRONG  # an object is as good as True
        ways.config(f"S05 {name}", with_node(args, kwargs), verdict)


def s06_own_functions(ways: Ways) -> None:
    names = _public_names()
    assert len(names) > 500
    assert {"load_model", "get_file", "plot_model", "set_floatx"} <= {n for n, _ in names}
    ways.add("S06 all", "resolve", EITHER, names=names)
    for name in DANGEROUS:
        ways.slot("S06 function", "activation", function(name), WRONG)
        ways.config(f"S06 name {name}", with_dense(activation=name), WRONG)
        ways.config(f"S06 lambda {name}", with_layer(lambda_layer(function=function(name))), WRONG)


def _public_names() -> list[tuple[str, str]]:
    """Every public callable of every public module: (name, its module as a file may spell it)."""
    import importlib
    import pkgutil

    import staghorn

    names = {(n, "keras") for n in staghorn.__all__}
    for info in pkgutil.iter_modules(staghorn.__path__, "staghorn."):
        if info.name.endswith(("__main__", "compat", "demo", "cli")):
            continue
        module = importlib.import_module(info.name)
        spelled = info.name.replace("staghorn", "keras", 1)
        public = getattr(module, "__all__", None) or [n for n in dir(module) if n[0] != "_"]
        names |= {(n, spelled) for n in public if callable(getattr(module, n, None))}
    return sorted(names)


def s07_setters_first(ways: Ways) -> None:
    for name in ("enable_unsafe_deserialization", "set_floatx"):
        config = with_layer(thing("keras.config", "function", name))
        config["config"]["layers"].append(lambda_layer(function=bytecode(ways.canary)))
        ways.config(f"S07 {name}", config)
        ways.slot(f"S07 {name}", "layer", thing("keras.config", name, "float64"), WRONG)
        ways.config(f"S07 call {name}", with_dense(activation=function(name, "keras.config")),
                    WRONG)  # fmt: skip


def s08_pickles(ways: Ways) -> None:
    layer = thing("keras.layers", "TorchModuleWrapper", {"module": "gAR9lC4=", "name": "t"})
    ways.slot("S08", "layer", layer)


def s09_other_files(ways: Ways) -> None:
    config = {"filepath": str(ways.canary.folder), "call_endpoint": "serve", "name": "t"}
    ways.slot("S09", "layer", thing("keras.layers", "TFSMLayer", config))
    code = bytecode(ways.canary)
    for name in ("JaxLayer", "FlaxLayer"):
        ways.slot(f"S09 {name}", "layer", thing("keras.layers", name, {"call_fn": code}))
        ways.slot(f"S09 {name}", "layer", thing("keras.layers", name, {"call_fn": "x"}), WRONG)
    preset = thing("keras_hub.src.models.bert", "BertBackbone", {"preset": ways.canary.url})
    ways.slot("S09 hub", "layer", preset, WRONG)


def s0a_registered(ways: Ways) -> None:
    for slot in SLOTS:
        hidden = thing("keras.layers", "Dense", {"units": 3}, "corp>Danger")
        ways.slot("S0A hidden", slot, hidden)
        ways.slot("S0A open", slot, thing(None, "Danger", {}, "corp>Danger"))
        ways.slot("S0A function", slot, function("corp>Danger"))
        if slot != "layer":
            ways.slot("S0A name", slot, "corp>Danger")
        if slot not in ("layer", "activation"):  # where the host's layers may stand
            ways.slot("S0A layer", slot, thing(None, "DangerLayer", {}, "corp>DangerLayer"))
    hidden = thing("keras.layers", "Dense", {"units": 3}, "corp>DangerLayer")
    ways.slot("S0A hidden layer", "layer", hidden)


def s0b_types(ways: Ways) -> None:
    adam = thing("keras.optimizers", "Adam", {})
    for slot in SLOTS:
        if slot != "optimizer":
            ways.slot("S0B Adam", slot, adam)
        if slot not in ("layer", "activation"):
            ways.slot("S0B Dense", slot, dense())
        for value in ([], "text", 5, None):
            wrong = thing("keras.layers", "Dense", value)
            ways.slot(f"S0B config {value!r}", slot, wrong, WRONG)
    for value in (5, None, 1.5, True, ["Dense"], {"a": 1}):
        ways.slot(f"S0B class {value!r}", "layer", {**dense(), "class_name": value}, WRONG)
        if value is not None:
            ways.slot(f"S0B module {value!r}", "layer", {**dense(), "module": value}, WRONG)
    for value in ("x" * (1 << 20), "x" * 100 + "\0"):
        ways.slot(f"S0B long {len(value)}", "layer", {**dense(), "class_name": value}, WRONG)
    for value in ([], "text", 5, None, {}):
        ways.config(f"S0B whole {value!r}", {**with_dense(), "config": value}, WRONG)
        ways.config(f"S0B training {value!r}", {**with_dense(), "compile_config": {"loss": value,
                    "optimizer": value}}, EITHER)  # fmt: skip
        ways.config(f"S0B build {value!r}", {**with_dense(), "build_config": value}, EITHER)
    ways.config("S0B whole", in_optimizer()["compile_config"]["optimizer"], direct=None)


RECIPES = {
    "S01": s01_bytecode, "S02": s02_old_bytecode, "S03": s03_no_switch, "S04": s04_foreign_names,
    "S05": s05_arguments, "S06": s06_own_functions, "S07": s07_setters_first, "S08": s08_pickles,
    "S09": s09_other_files, "S0A": s0a_registered, "S0B": s0b_types,
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return examine(RECIPES, tmp_path_factory.mktemp("attacks"))


@pytest.mark.parametrize("name", RECIPES)
def test_code_in_files_never_runs(name, found):
    assert not found[name], "\n".join(found[name])


def test_s0c_a_pickled_model_is_an_archive():
    """Unpickling goes through the archive's own checks: nothing in the stream turns them off."""
    model = recipes.graph()
    function, arguments = model.__reduce__()
    assert function.__module__ == "staghorn.saving.pickling"
    assert isinstance(arguments[1], bytes)
    doctored = pickle.dumps(model).replace(b'"Dense"', b'"Dance"')
    with pytest.raises(ValueError, match="the pickled model is damaged"):
        pickle.loads(doctored)
