"""A flow to a Gaussian of which everything is known, and what a network adds to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import rectified

SHAPE = (2, 3)
SPREADS = np.array([1.5, 0.5, 1.2, 0.3, 1.4, 0.6], np.float32)  # of each number, on an axis of its own
REST = 0.9


def by_axes(known):
    """The Gaussian with these standard deviations, of which the first `known` are told as axes."""

    def mapped(x, gains, others):
        gain = jnp.concatenate([gains, jnp.repeat(others, 6 - known, axis=1)], axis=1)
        return gain.reshape(x.shape) * x

    return rectified.Gaussian(jnp.asarray(SPREADS[:known]), jnp.full(1, REST), mapped)


def spreads(known):
    return np.concatenate([SPREADS[:known], np.full(6 - known, REST)])


def nothing(seen, time, *told):
    return jnp.zeros(seen.shape[:-1])


@pytest.mark.parametrize("known", [6, 4, 0])
def test_noise_arrives_at_the_gaussian(known):
    """Number by number: the noise, as wide as its axis."""
    noise = jax.random.normal(jax.random.key(0), (5, *SHAPE))

    def velocity(x, time):
        return rectified.velocity(nothing, by_axes(known), x, time)

    found = rectified.follow(velocity, noise, jnp.full(5, 64.0), jnp.zeros(5))
    np.testing.assert_allclose(found, noise * spreads(known).reshape(SHAPE), rtol=0.01, atol=0.003)


@pytest.mark.parametrize("known", [6, 3])
def test_what_the_gaussian_leaves_is_what_is_wrong_without_a_network(known):
    """By drawing: the error of its velocity is `left`, so that the loss is 1."""
    own = spreads(known).reshape(SHAPE).astype(np.float32)
    clips = own * jax.random.normal(jax.random.key(1), (20_000, *SHAPE))
    noise = jax.random.normal(jax.random.key(2), clips.shape)
    for time in (0.0, 0.3, 0.9):
        at = jnp.full(len(clips), time)
        wrong = rectified.velocity(nothing, by_axes(known), (1 - time) * noise + time * clips, at) - (clips - noise)
        left = rectified.left(by_axes(known), at[:1], 6)
        np.testing.assert_allclose(np.sqrt(np.mean(np.square(wrong))), left[0], rtol=0.02)
    loss = rectified.error(nothing, by_axes(known), clips, jax.random.key(3), jnp.zeros((20_000, 1)), untold=0.0)
    assert float(loss) == pytest.approx(1, rel=0.02)


def test_a_network_sees_the_point_and_what_it_would_be_without_noise():
    x, time = jax.random.normal(jax.random.key(0), (4, *SHAPE)), jnp.array([0.0, 0.25, 0.75, 1.0])
    seen, part = [], np.asarray(time)[:, None, None]

    def network(views, at, *told):
        seen.append((views, at, told))
        return jnp.full(views.shape[:-1], 2.0)

    found = rectified.velocity(network, by_axes(6), x, time, "told", "known")
    ((views, at, told),) = seen
    variance = part**2 * SPREADS.reshape(SHAPE) ** 2 + (1 - part) ** 2
    np.testing.assert_allclose(views[..., 0], x / np.sqrt(part**2 + (1 - part) ** 2), rtol=1e-5)
    np.testing.assert_allclose(views[..., 1], part * SPREADS.reshape(SHAPE) ** 2 / variance * x, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(at, time)
    assert told == ("told", "known")
    alone = rectified.velocity(nothing, by_axes(6), x, time)
    beyond = 2 * np.asarray(rectified.left(by_axes(6), time, 6))[:, None, None]
    np.testing.assert_allclose(found - alone, np.broadcast_to(beyond, found.shape), rtol=1e-4, atol=1e-5)


def conditional(seen, time, conditions, known):
    return (known * conditions[:, 0])[:, None, None] * jnp.ones(seen.shape[:-1])


@pytest.mark.parametrize("guidance", [[1.0, 1.0, 1.0], [0.0, 1.0, 3.0]])
def test_guidance_is_how_far_past_the_untold_velocity_each_is_led(guidance):
    x, time = jax.random.normal(jax.random.key(0), (3, *SHAPE)), jnp.array([0.2, 0.5, 0.8])
    conditions = jnp.array([[1.0], [2.0], [3.0]])
    lead = rectified.guided(conditional, by_axes(6), conditions, jnp.array(guidance))
    told, free = (
        rectified.velocity(conditional, by_axes(6), x, time, conditions, jnp.full(3, known)) for known in (1.0, 0.0)
    )
    expected = free + np.reshape(guidance, (3, 1, 1)) * (told - free)
    np.testing.assert_allclose(lead(x, time), expected, rtol=1e-5, atol=1e-6)


def test_conditions_are_left_out_of_as_many_clips_as_is_said():
    shares = []

    def network(seen, time, conditions, known):
        shares.append(float(jnp.mean(known)))
        return jnp.zeros(seen.shape[:-1])

    clips = jnp.zeros((4_000, *SHAPE))
    for untold in (0.0, 0.3):
        rectified.error(network, by_axes(6), clips, jax.random.key(0), jnp.zeros((4_000, 1)), untold=untold)
    assert shares[0] == 1 and shares[1] == pytest.approx(0.7, abs=0.03)


def test_each_goes_from_its_own_start_in_its_own_steps():
    """Along a straight line any number of steps arrives: of a velocity of 1 at as much as time was left."""
    start, steps = jnp.array([0.0, 0.25, 1.0]), jnp.array([1.0, 5.0, 2.0])
    times = []

    def velocity(x, time):
        times.append(time.shape)
        return jnp.ones_like(x)

    found = rectified.follow(velocity, jnp.zeros((3, *SHAPE)), steps, start)
    np.testing.assert_allclose(found, np.broadcast_to((1 - start)[:, None, None], found.shape), atol=1e-6)
    assert set(times) == {(3,)}
