"""Where data is made: on the host's CPU, whatever the model is trained on."""

from __future__ import annotations

import jax

from mgen.data import DataError


def configured() -> str:
    """The platforms that jax is told to use, "" where it chooses."""
    return jax.config.jax_platforms or ""


def on_host():
    """A context in which jax works on the CPU.

    Raises:
      DataError: jax was told to have none.
    """
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError as error:
        platforms = configured()
        if not platforms or "cpu" in platforms.split(","):
            raise
        raise DataError(
            f"JAX_PLATFORMS={platforms}: leaves jax no CPU, on which data is made; set JAX_PLATFORMS={platforms},cpu"
        ) from error
