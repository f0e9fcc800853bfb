"""Dtype policies: names, global policy, configs, maps."""

import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import config, dtype_policies
from staghorn.dtype_policies import DTypePolicy, DTypePolicyMap
from tests.oracle import keras

NAMES = [
    "float32",
    "float16",
    "bfloat16",
    "float64",
    "mixed_float16",
    "mixed_bfloat16",
    "int32",
    "uint8",
    "bool",
]


@pytest.fixture(autouse=True)
def no_global_policy():
    dtype_policies.reset_dtype_policy()
    yield
    dtype_policies.reset_dtype_policy()


@pytest.mark.parametrize("name", NAMES)
def test_policies_equal_keras(name):
    ours, theirs = DTypePolicy(name), keras.DTypePolicy(name)
    for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert repr(ours) == repr(theirs)
    assert dtype_policies.serialize(ours) == keras.dtype_policies.serialize(theirs)


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name):
    for config_ in (
        dtype_policies.serialize(DTypePolicy(name)),
        keras.dtype_policies.serialize(keras.DTypePolicy(name)),
        keras.dtype_policies.serialize(keras.FloatDTypePolicy(name)),
        {"class_name": "DTypePolicy", "config": {"name": name}},
    ):
        assert dtype_policies.get(config_) == DTypePolicy(name)


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.dtype("float32"), float])
def test_dtypes_are_policies(dtype):
    assert dtype_policies.get(dtype).name == keras.dtype_policies.get(dtype).name


def test_equality_and_hash_follow_the_name():
    assert DTypePolicy("float32") == DTypePolicy("float32") != DTypePolicy("float16")
    assert len({DTypePolicy("float32"), DTypePolicy("float32")}) == 1
    assert DTypePolicy("float32") != "float32"


def test_a_policy_cannot_be_changed():
    with pytest.raises(AttributeError):
        DTypePolicy("float32").compute_dtype = "float16"


def test_the_global_policy():
    assert dtype_policies.dtype_policy() == DTypePolicy("float32")
    dtype_policies.set_dtype_policy("mixed_float16")
    assert dtype_policies.get(None) == DTypePolicy() == DTypePolicy("mixed_float16")
    policy = DTypePolicy("bfloat16")
    dtype_policies.set_dtype_policy(policy)
    assert dtype_policies.dtype_policy() is policy


def test_the_global_policy_follows_floatx():
    config.set_floatx("float16")
    assert dtype_policies.dtype_policy() == DTypePolicy("float16")


def test_float_policy_is_another_name_as_in_keras():
    for module in (dtype_policies, keras.dtype_policies):
        older, plain = module.FloatDTypePolicy("float16"), module.DTypePolicy("float16")
        assert older == plain
        assert older != module.DTypePolicy("float32")
        assert module.serialize(older) == {
            "module": "keras",
            "class_name": "FloatDTypePolicy",
            "config": {"name": "float16"},
            "registered_name": None,
        }
        assert type(module.deserialize(module.serialize(older))) is module.FloatDTypePolicy
    assert len({dtype_policies.FloatDTypePolicy("float16"), DTypePolicy("float16")}) == 1


BAD = [
    (lambda: DTypePolicy("mixed_float61"), ValueError, "Did you mean 'mixed_float16'"),
    (lambda: DTypePolicy(16), TypeError, "name must be a string"),
    (lambda: dtype_policies.get("int4_from_float32"), NotImplementedError, "'int4' is not supp"),
    (lambda: dtype_policies.get("int4/8_from_float32"), NotImplementedError, "'int4' is not supp"),
    (lambda: dtype_policies.get("in8_from_float32"), ValueError, "Did you mean 'int8'"),
    (lambda: dtype_policies.get("int8_from_float16"), ValueError, "whose largest number is 65504"),
    (lambda: dtype_policies.get("int8_from_float33"), ValueError, "Did you mean 'float32'"),
    (lambda: dtype_policies.AWQDTypePolicy("awq/4/8"), NotImplementedError, "'awq' is not supp"),
    (lambda: dtype_policies.get(object()), ValueError, "dtype must be a name"),
    (lambda: dtype_policies.set_dtype_policy(3), ValueError, "policy must be a name"),
    (lambda: DTypePolicyMap(DTypePolicyMap()), ValueError, "default_policy must be"),
    (lambda: DTypePolicyMap(policy_map=["a"]), TypeError, "policy_map must be a dict"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


QUANTIZED = ["int8_from_float32", "int8_from_mixed_bfloat16", "int8_from_bfloat16"]


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_policies(name):
    ours, theirs = (module.get(name) for module in (dtype_policies, keras.dtype_policies))
    for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert repr(ours) == repr(theirs)
    assert dtype_policies.serialize(ours) == keras.dtype_policies.serialize(theirs)
    assert dtype_policies.get(keras.dtype_policies.serialize(theirs)) == ours
    assert ours != dtype_policies.get(ours.source_name)


def test_a_map_may_hold_quantized_policies():
    policies = DTypePolicyMap("float32", {"model/dense": "int8_from_float32"})
    assert policies.quantization_mode is None
    assert policies.at("model/dense").quantization_mode == "int8"
    assert dtype_policies.get(dtype_policies.serialize(policies)) == policies


# Maps ----------------------------------------------------------------------------------------


def maps():
    for module in (dtype_policies, keras.dtype_policies):
        policies = module.DTypePolicyMap("float32")
        policies["encoder/dense"] = module.DTypePolicy("bfloat16")
        policies["decoder/.*"] = module.DTypePolicy("mixed_float16")
        yield policies


PATHS = ["encoder/dense", "encoder/dense_1", "decoder/dense", "decoder", "x/decoder/dense", ""]


@pytest.mark.parametrize("path", PATHS)
def test_maps_find_what_keras_finds(path):
    ours, theirs = maps()
    assert ours[path].name == theirs[path].name
    assert (path in ours) == (path in theirs)


def test_a_map_is_a_policy_and_a_mapping():
    ours, theirs = maps()
    for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert list(ours.keys()) == list(theirs.keys())
    assert len(ours) == 2
    assert isinstance(ours, DTypePolicy)
    assert [p.name for p in ours.values()] == ["bfloat16", "mixed_float16"]
    assert ours.get("encoder/dense") == DTypePolicy("bfloat16")
    assert dtype_policies.get(ours) is ours


def test_map_configs_equal_keras_and_round_trip():
    ours, theirs = maps()
    assert dtype_policies.serialize(ours) == keras.dtype_policies.serialize(theirs)
    assert dtype_policies.get(keras.dtype_policies.serialize(theirs)) == ours


def test_an_empty_map_follows_the_global_policy():
    policies = DTypePolicyMap()
    assert policies.get_config() == keras.dtype_policies.DTypePolicyMap().get_config()
    dtype_policies.set_dtype_policy("float16")
    assert policies["any"] == DTypePolicy("float16")
    assert policies


def test_maps_refuse_ambiguity_and_duplicates():
    policies = DTypePolicyMap("float32", {"a/.*": "float16", ".*/b": "bfloat16"})
    with pytest.raises(ValueError, match="matches 2 keys"):
        policies["a/b"]
    with pytest.raises(ValueError, match="already has the policy"):
        policies["a/.*"] = "float32"
    del policies["a/.*"]
    assert policies["a/b"] == DTypePolicy("bfloat16")
    assert "default_policy=float32" in repr(policies)


def test_the_global_policy_under_its_other_names():
    mixed, config = staghorn.mixed_precision, staghorn.config
    try:
        mixed.set_global_policy("mixed_bfloat16")
        assert config.dtype_policy() == mixed.global_policy() == mixed.Policy("mixed_bfloat16")
        assert staghorn.layers.Dense(1).compute_dtype == "bfloat16"
        config.set_dtype_policy("float16")
        assert dtype_policies.dtype_policy().name == "float16"
    finally:
        dtype_policies.reset_dtype_policy()


def test_clear_session_forgets_names_policy_and_seed():
    first = staghorn.layers.Dense(1).name
    staghorn.config.set_dtype_policy("mixed_bfloat16")
    staghorn.utils.set_random_seed(7)
    staghorn.utils.clear_session()
    assert staghorn.layers.Dense(1).name == first == "dense"
    assert staghorn.config.dtype_policy().name == "float32"
    assert staghorn.utils.get_random_seed() is None
    staghorn.utils.clear_session(free_memory=False)
