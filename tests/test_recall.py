"""The memory of moments: what came after the like of now, in training all of it and in playing one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen.blocks.recall import drawn, joined, nothing, recalled

PATTERN = np.array([0, 1, 2, 3, 1, 4, 0, 1, 2, 3, 1, 4, 0, 1, 2, 3, 1, 4])  # a song of six steps, three times
KEYS = np.eye(5, dtype=np.float32)
SOUNDING = jnp.ones((1, 18), bool)


def song(pattern=PATTERN):
    """Keys that tell the last two notes, and levels of the note itself; what is otherwise is 100."""
    before = np.roll(pattern, 1)
    key = np.concatenate([KEYS[pattern], KEYS[before]], axis=1)[None]
    heard = (10.0 * pattern[:, None] + np.arange(3))[None].astype(np.float32)
    return jnp.asarray(key), jnp.asarray(heard), jnp.full((1, len(pattern), 3), 100.0)


def test_what_came_after_comes_again():
    key, heard, otherwise = song()
    levels, _ = recalled(nothing(1, 18, 10, 3), key, heard, SOUNDING, jnp.array(50.0), otherwise)
    np.testing.assert_allclose(levels[0, :8], 100, err_msg="nothing lies back far enough")
    # From the moment where the same two notes lie eight steps back or more, the next note is known.
    np.testing.assert_allclose(levels[0, 15:-1], heard[0, 16:], atol=1e-3)


@pytest.mark.parametrize("moments", [12, 18, 30])
@pytest.mark.parametrize("cut", [1, 5, 17])
def test_in_parts_it_is_as_at_once(cut, moments):
    key, heard, otherwise = song()
    whole, end = recalled(nothing(1, moments, 10, 3), key, heard, SOUNDING, jnp.array(3.0), otherwise)
    first, memory = recalled(
        nothing(1, moments, 10, 3), key[:, :cut], heard[:, :cut], SOUNDING[:, :cut], jnp.array(3.0), otherwise[:, :cut]
    )
    second, memory = recalled(
        memory, key[:, cut:], heard[:, cut:], SOUNDING[:, cut:], jnp.array(3.0), otherwise[:, cut:]
    )
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), memory, end)


def test_silence_before_the_first_sound_is_no_moment():
    key, heard, otherwise = song()
    sounding = jnp.arange(18)[None] >= 11
    _, memory = recalled(nothing(1, 18, 10, 3), key, heard, sounding, jnp.array(3.0), otherwise)
    np.testing.assert_array_equal(memory["known"][0], np.arange(18) >= 12)


def test_the_oldest_is_forgotten():
    key, heard, otherwise = song()
    _, memory = recalled(nothing(1, 6, 10, 3), key, heard, SOUNDING, jnp.array(3.0), otherwise)
    assert memory["keys"].shape == (1, 6, 10)
    np.testing.assert_array_equal(memory["after"], heard[:, -6:])


def test_one_moment_is_drawn_and_followed():
    key, heard, otherwise = song()
    _, memory = recalled(nothing(1, 18, 10, 3), key, heard, SOUNDING, jnp.array(3.0), otherwise)
    many = jax.tree.map(lambda part: jnp.repeat(part, 2000, axis=0), memory)
    levels, after = drawn(
        many, jnp.repeat(key[:, 9], 2000, axis=0), jnp.array(50.0), otherwise[:, 0], jax.random.key(0)
    )
    assert set(np.unique(levels[:, 0])) == {10.0}, "after 2 and 3 comes 1"
    again, later = drawn(after, jnp.repeat(key[:, 2], 2000, axis=0), jnp.array(0.0), otherwise[:, 0], jax.random.key(1))
    following = np.asarray(later["followed"]) == np.asarray(after["followed"]) + 1
    inside = np.asarray(after["followed"]) < 17
    assert 1 - 3 / 64 < following[inside].mean() < 1
    np.testing.assert_array_equal(np.asarray(again)[following & inside, 0], 40.0)
    assert not np.any(np.asarray(later["followed"])[~inside] == 18)


def test_without_a_moment_it_is_otherwise():
    levels, _ = drawn(nothing(2, 4, 10, 3), jnp.ones((2, 10)), jnp.array(1.0), jnp.full((2, 3), 7.0), jax.random.key(0))
    np.testing.assert_array_equal(levels, 7.0)


@pytest.mark.parametrize("mix", [0.0, 0.25, 1.0])
def test_two_memories_count_as_they_are_mixed(mix):
    key, heard, otherwise = song()
    _, one = recalled(nothing(1, 18, 10, 3), key, heard, SOUNDING, jnp.array(3.0), otherwise)
    _, two = recalled(nothing(1, 18, 10, 3), key, heard + 1000, SOUNDING, jnp.array(3.0), otherwise)
    both = joined(one, two, jnp.array([mix]))
    many = jax.tree.map(lambda part: jnp.repeat(part, 4000, axis=0), both)
    levels, _ = drawn(many, jnp.zeros((4000, 10)), jnp.array(1.0), jnp.zeros((4000, 3)), jax.random.key(0))
    np.testing.assert_allclose(np.mean(levels[:, 0] >= 1000), mix, atol=0.03)
