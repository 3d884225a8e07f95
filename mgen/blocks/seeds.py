"""What a continuation begins from: the end of a clip, and how loud it is."""

from __future__ import annotations

import jax
import jax.numpy as jnp

Array = jax.Array


def ending_in_sound(clips: Array) -> Array:
    """Clips [count, blocks, values] that end in their last whole block of sound, the rest being silence before it.

    The last block that sounds is left out: the end of the clip cuts it, and nothing goes on from half a window.
    """
    sounding = jnp.any(clips != 0, axis=-1)
    after = jnp.argmax(sounding[:, ::-1], axis=-1) + 1  # blocks of silence at the end, and the one that is cut
    moved = jax.vmap(lambda clip, by: jnp.roll(clip, by, axis=0))(clips, after)
    return jnp.where(jnp.arange(clips.shape[1])[None, :, None] < after[:, None, None], 0, moved)


def mean_power(clips: Array) -> Array:
    """Mean square of each value, over the blocks of clips that sound: float32 [count, values]."""
    sounding = jnp.any(clips != 0, axis=-1)
    return jnp.sum(jnp.square(clips), axis=1) / jnp.maximum(jnp.sum(sounding, axis=1), 1)[:, None]
