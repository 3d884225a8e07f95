"""Several virtual CPU devices before jax starts, so that the pmap path is tested on a laptop."""

import os
import pathlib
import tempfile

# The eigen flag: jaxlib 0.11.1 and 0.11.2 hang on an FFT inside a loop when there is more than one virtual device.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The backend's level: the suite is compilation, a third of which is LLVM making fast what runs once.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=4 --xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0 "
    + os.environ.get("XLA_FLAGS", "")
)
# librosa compiles by numba, whose cache on disk two processes must not write at once: one has died of reading it.
os.environ.setdefault(
    "NUMBA_CACHE_DIR",
    f"{tempfile.gettempdir()}/mgen_numba_{os.getuid()}/{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}",
)

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("mgen", deadline=None, derandomize=True, max_examples=20)  # compilation trips the deadline
settings.load_profile("mgen")

AUDIO = pathlib.Path(os.environ.get("MGEN_TEST_AUDIO", pathlib.Path(__file__).parents[2] / "shared" / "audio"))


@pytest.fixture(scope="session")
def real_audio() -> pathlib.Path:
    """The folder of real music, or a skip that says where it was looked for."""
    if not (AUDIO / "music").is_dir():
        pytest.skip(f"no real audio at {AUDIO}; set MGEN_TEST_AUDIO to a folder that holds music/")
    return AUDIO


_MAPPED = 8_000  # regions of memory: each compiled function takes several, and XLA dies of too many in one process


@pytest.fixture(autouse=True, scope="module")
def bounded_compilation():
    """Forgets what was compiled, between two modules, once it is much: a worker died compiling, late in the suite."""
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and len(maps.read_text().splitlines()) > _MAPPED:
        import jax

        jax.clear_caches()


@pytest.fixture
def noise() -> np.ndarray:
    """White noise of amplitude 0.1, [3, 22050]."""
    return np.random.default_rng(0).normal(0, 0.1, (3, 22_050)).astype(np.float32)


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Runs `mgen ...` in an empty folder and returns (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MGEN_CACHE", str(tmp_path / "cache"))

    from mgen import commands

    def call(*arguments):
        try:
            status = commands.main([str(word) for word in arguments])
        except SystemExit as exit:
            status = exit.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
