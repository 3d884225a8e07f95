"""Style transfer: statistics by hand, gradients by finite differences, and a descent that cannot run away."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen.models import style

RNG = np.random.default_rng(0)
CLIP = jnp.asarray(RNG.uniform(-0.9, 0.5, (30, 24)), jnp.float32)
OTHER = jnp.asarray(RNG.uniform(-0.9, 0.2, (30, 24)) + np.linspace(-0.1, 0.4, 24), jnp.float32)


def test_cosine_basis_is_librosas():
    import librosa

    ours = np.asarray(CLIP) @ style.cosine_basis(24, 20)
    np.testing.assert_allclose(ours.T, librosa.feature.mfcc(S=np.asarray(CLIP).T, n_mfcc=20), atol=1e-5)


def test_fixed_layers():
    found = style.fixed_layers(CLIP)
    assert tuple(found) == style.FIXED
    levels = (np.asarray(CLIP) + 1) / 2
    np.testing.assert_allclose(found["bands"], levels, atol=1e-6)
    padded = np.pad(levels, ((0, 0), (1, 1)), mode="edge")
    near = np.stack([padded[:, k : k + 24] for k in range(3)]).mean(axis=0)
    np.testing.assert_allclose(found["detail"], levels - near, atol=1e-5)
    padded = np.pad(np.exp(2 * np.asarray(CLIP)), ((0, 0), (1, 1)), mode="edge")
    near = np.stack([padded[:, k : k + 24] for k in range(3)]).mean(axis=0)
    np.testing.assert_allclose(found["partials"], padded[:, 1:-1] - near, atol=1e-4)
    assert found["timbre"].shape == (30, 20) and found["texture"].shape[0] == 30 and found["texture"].min() == 0


def test_statistics_are_means_and_do_not_depend_on_length():
    layer = RNG.standard_normal((5, 4, 3)).astype(np.float32)
    flat = layer.reshape(20, 3)
    found = style.statistics(layer)
    np.testing.assert_allclose(found.mean, flat.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.gram, np.cov(flat.T, ddof=0), atol=1e-5)
    for ours, again in zip(found, style.statistics(np.tile(layer, (3, 1, 1))), strict=True):
        np.testing.assert_allclose(ours, again, atol=1e-5)


def test_losses_are_shares():
    """0 where all is reached, 1 where a style is still the content's own, and the same at any level."""
    layer, other, third = (RNG.standard_normal((20, 3)).astype(np.float32) for _ in range(3))
    own, theirs, mine = map(style.statistics, (layer, other, third))
    assert style.content_loss(layer, layer) == 0 and style.style_loss(own, own, theirs) == 0
    assert style.style_loss(own, theirs, own) == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(style.content_loss(other, layer), style.content_loss(10 * other, 10 * layer), rtol=1e-5)
    scaled = [style.statistics(10 * x) for x in (layer, other, third)]
    np.testing.assert_allclose(style.style_loss(own, theirs, mine), style.style_loss(*scaled), rtol=1e-4)
    assert style.style_loss(own, own, own) == 0  # content and style are one: nothing is divided by nothing


@pytest.mark.parametrize("name", style.FIXED)
def test_gradients_are_true(name):
    """Against finite differences in float64, of both losses through each layer; those of MFCCs too."""
    with jax.enable_x64(True):
        clip, other = (jnp.asarray(np.asarray(x), jnp.float64) for x in (CLIP[:12], OTHER[:12]))
        kept, before = (style.fixed_layers(x)[name] for x in (other, 0.5 * clip))
        wanted, before = style.statistics(kept), style.statistics(before)

        def loss(x):
            own = style.fixed_layers(x)[name]
            return style.content_loss(own, kept) + style.style_loss(style.statistics(own), wanted, before)

        slope = jax.grad(loss)(clip)
        direction = jnp.asarray(RNG.standard_normal(clip.shape))
        step = 1e-5
        measured = (loss(clip + step * direction) - loss(clip - step * direction)) / (2 * step)
        np.testing.assert_allclose(jnp.sum(slope * direction), measured, rtol=1e-4)


def test_silence_is_nobodys_style():
    short = jnp.concatenate([OTHER[:7], jnp.full((23, 24), -1.0)])
    whole = style.whole(short)
    np.testing.assert_array_equal(whole, jnp.tile(OTHER[:7], (5, 1))[:30])
    np.testing.assert_array_equal(style.whole(OTHER), OTHER)
    assert jnp.all(style.whole(jnp.full((30, 24), -1.0)) == -1)


@functools.lru_cache
def descent():
    def run(content, wanted, start, iterations, rate, ceiling=1.0):
        ones = dict.fromkeys(style.FIXED, jnp.float32(1))
        return style.transfer(
            style.fixed_layers, content, wanted, start, ceiling, content_weights={"detail": jnp.float32(1)},
            style_weights=ones, content_weight=jnp.float32(1), style_weight=jnp.float32(10), iterations=iterations,
            rate=rate,
        )  # fmt: skip

    return jax.jit(run)


def silenced(clip):
    """A tenth of the range above its floor is silence."""
    return np.where(clip < -0.8, np.float32(-1), clip)


def wanted(clip):
    return jax.tree.map(style.statistics, style.fixed_layers(clip))


def test_loss_falls_and_more_iterations_help():
    found = [descent()(CLIP, wanted(OTHER), CLIP, count, 0.05) for count in (0, 10, 100)]
    assert found[0].before == found[0].after == found[2].before
    assert found[2].after < found[1].after < found[0].after
    assert found[2].after < 0.5 * found[0].before
    assert all(np.isfinite(one.features).all() for one in found)


def test_stays_where_style_and_content_are_one():
    found = descent()(CLIP, wanted(CLIP), CLIP, 20, 0.05)
    assert found.before == 0
    np.testing.assert_allclose(found.features, silenced(CLIP), atol=1e-6)


@pytest.mark.parametrize("rate", [1.0, 1e6])
def test_cannot_run_away(rate):
    """What the original did: its loss went from 4.9e10 to 7.2e24. Here features are bounded whatever the rate."""
    found = descent()(CLIP, wanted(OTHER), CLIP, 200, rate)
    assert np.isfinite(found.after) and found.features.min() >= -1 and found.features.max() <= 1


def test_nothing_is_louder_than_the_ceiling():
    assert descent()(CLIP, wanted(OTHER), CLIP, 20, 0.05, 0.1).features.max() == pytest.approx(0.1)


def test_what_is_not_finite_moves_nothing():
    broken = jax.tree.map(lambda values: jnp.full_like(values, jnp.nan), wanted(OTHER))
    np.testing.assert_array_equal(descent()(CLIP, broken, CLIP, 10, 0.05).features, silenced(CLIP))


@pytest.mark.parametrize("start", [-1.0, 0.0])
def test_silence_is_no_trap(start):
    """At the floor everywhere nothing changes with the features' sign alone: there is a slope to leave it by."""
    found = descent()(CLIP, wanted(OTHER), jnp.full_like(CLIP, start), 100, 0.05)
    assert found.after < 0.5 * found.before


def test_a_plateau_above_the_floor_is_silence():
    pale = jnp.where(jnp.arange(24) < 12, -0.85, 0.1) * jnp.ones((30, 24))
    found = descent()(pale, wanted(pale), pale, 0, 0.05).features
    np.testing.assert_allclose(found, np.where(np.arange(24) < 12, -1, 0.1) * np.ones((30, 24)), atol=1e-6)


def test_the_closed_map_takes_the_timbre_and_keeps_the_detail():
    rng = np.random.default_rng(3)
    content, own = (
        jnp.asarray(base + scale * rng.standard_normal((400, 48)) @ mixing, jnp.float32)
        for base, scale, mixing in ((-0.2, 0.02, rng.standard_normal((48, 48))), (0.1, 0.01, np.eye(48)))
    )
    moved = style.transport(content, wanted(own)["timbre"])
    ours, theirs, before = (wanted(clip)["timbre"] for clip in (moved, own, content))
    np.testing.assert_allclose(ours.mean, theirs.mean, atol=1e-5)
    assert np.max(abs(ours.gram - theirs.gram)) < 0.02 * np.max(abs(before.gram - theirs.gram))
    # What 20 cepstral coefficients do not say of a frame is as it was.
    basis = style.cosine_basis(48, 20)
    rest = np.eye(48) - basis @ basis.T
    np.testing.assert_allclose(moved @ rest, content @ rest, atol=1e-5)


def test_the_closed_map_moves_no_more_than_it_must():
    """Between Gaussians whose covariances share their axes each axis is stretched by the quotient of the deviations."""
    rng = np.random.default_rng(4)
    basis = style.cosine_basis(24, 20)
    white = rng.standard_normal((500, 20))
    white = (white - white.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T, bias=True))).T
    wide, want = rng.uniform(0.1, 0.3, 20), rng.uniform(0.1, 0.3, 20)
    content, own = (jnp.asarray(2 * (white * spread) @ basis.T - 1, jnp.float32) for spread in (wide, want))
    moved = style.transport(content, wanted(own)["timbre"])
    np.testing.assert_allclose(moved, own, atol=0.02)


def test_the_closed_map_of_what_has_no_variance():
    still = jnp.full((30, 24), -0.5)
    for content, own in ((still, OTHER), (CLIP, still), (still, still)):
        assert np.all(np.isfinite(style.transport(content, wanted(own)["timbre"])))
    np.testing.assert_allclose(style.transport(CLIP, wanted(still)["timbre"]).mean(), -0.5, atol=0.02)
