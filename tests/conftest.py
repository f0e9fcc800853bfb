"""What every test run shares: two devices, no windows, a clean slate before each test.

`STAGHORN_STRICT=1` is the second run of `make test`: JAX refuses implicit broadcasting between
ranks and implicit dtype promotion (and, under `tests/traps`, tracers that outlive their trace).
It collects `test_strict_*.py` only and cannot import `keras`, whose own layers fail these modes.
Loaded with `-p tests.conftest`, this file also gives docstring examples their two names.
"""

import os
import sys
from pathlib import Path

import pytest

DEVICES = "--xla_force_host_platform_device_count=2"
STRICT = os.environ.get("STAGHORN_STRICT", "") not in ("", "0")

# JAX reads these once, when it is first imported.
if "jax" in sys.modules:
    raise RuntimeError("tests/conftest.py must run before jax is imported; see XLA_FLAGS in it.")
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DEVICES}".strip()
os.environ["MPLBACKEND"] = "Agg"
os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Every test compiles for itself, and none leaves programs with the user's caches.
os.environ["STAGHORN_COMPILE_CACHE"] = "off"

if STRICT:
    import jax

    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    sys.modules["keras"] = None  # `import keras` now raises ModuleNotFoundError


try:
    from hypothesis import settings
except ModuleNotFoundError:  # the docstring examples run without it
    pass
else:
    # Shared machines make deadlines flaky, and a local database makes failures unrepeatable.
    settings.register_profile("staghorn", deadline=None, database=None, print_blob=True)
    settings.load_profile("staghorn")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave everything but `test_strict_*.py` out of the strict run."""
    if STRICT and collection_path.suffix == ".py":
        return not collection_path.name.startswith("test_strict_")
    return None


@pytest.fixture(autouse=True)
def clean_slate():
    """Names count from zero and the global settings are the defaults in every test."""
    from staghorn import config
    from staghorn.engine import naming

    naming.reset()
    before = config.floatx(), config.epsilon(), config.image_data_format()
    yield
    config.set_floatx(before[0])
    config.set_epsilon(before[1])
    config.set_image_data_format(before[2])


@pytest.fixture(autouse=True)
def tracer_leak_checks(request):
    """In the strict run, tests under `tests/traps` fail when a tracer outlives its trace."""
    if not (STRICT and "traps" in request.path.parts):
        yield
        return
    import jax

    with jax.checking_leaks():
        yield


@pytest.fixture(autouse=True)
def closed_figures():
    """No picture stays open from one test to the next."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def doctest_names(request):
    """Give docstring examples `staghorn` and `np`."""
    if isinstance(request.node, pytest.DoctestItem):
        import numpy as np

        import staghorn

        request.getfixturevalue("doctest_namespace").update(staghorn=staghorn, np=np)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data (see CONTRIBUTING.md); skips, saying so, where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("STAGHORN_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set STAGHORN_DATA to the folder that holds it")
    return folder
