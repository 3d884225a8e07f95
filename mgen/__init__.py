"""mgen: neural generators of sound in JAX. `mgen.contracts` is the place to start reading."""

__version__ = "0.1.0"
