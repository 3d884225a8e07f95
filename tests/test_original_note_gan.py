"""The published conditional GAN: its sizes to the number, and that it can learn, which it could not."""

import functools

import jax
import jax.numpy as jnp
import pytest

from mgen.contracts import Spec
from mgen.controls import Choice
from mgen.models.original_note_gan import OriginalNoteGan

#: The original took each of the 24 combinations of qualities that occur for a class.
SPEC = Spec(shape=(127, 127, 2), labels=(Choice("qualities", tuple(f"combination_{i}" for i in range(24))),))
MODEL = OriginalNoteGan()


@functools.lru_cache
def fresh():
    return jax.jit(functools.partial(MODEL.init, spec=SPEC))(jax.random.key(0))


def numbers(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_the_published_numbers_of_parameters():
    variables = jax.eval_shape(lambda: MODEL.init(jax.random.key(0), SPEC))
    generator, discriminator = variables["generator"], variables["discriminator"]
    assert numbers(generator) == 537_218 and numbers(generator["params"]) == 536_706
    assert numbers(discriminator) == 118_017 and numbers(discriminator["params"]) == 117_761


def test_a_confident_discriminator_leaves_the_generator_a_gradient():
    variables = jax.tree.map(lambda leaf: leaf, fresh())  # a copy
    weights = variables["discriminator"]["params"]["Dense_0"]
    weights["bias"] = weights["bias"] - 20.0  # sure that all is generated: a tanh would be flat here
    batch = {"features": jnp.zeros((2, *SPEC.shape)), "labels": jnp.zeros((2, 1))}
    loss = MODEL.losses(SPEC)["generator"]

    def value(params):
        own = {**variables["generator"], "params": params}
        return loss({**variables, "generator": own}, jax.random.key(1), batch, train=True).value

    lost, slopes = jax.jit(jax.value_and_grad(value))(variables["generator"]["params"])
    assert float(lost) > 10
    assert float(jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(slopes)))) > 1e-4


def test_statistics_are_learnt_in_training_only():
    variables = jax.eval_shape(lambda: MODEL.init(jax.random.key(0), SPEC))
    batch = {"features": jnp.ones((2, *SPEC.shape)), "labels": jnp.zeros((2, 1))}
    for player, loss in MODEL.losses(SPEC).items():

        def updates(variables, train, loss=loss):
            return loss(variables, jax.random.key(1), batch, train=train).updates

        assert not jax.eval_shape(lambda variables: updates(variables, False), variables)
        moved = jax.eval_shape(lambda variables: updates(variables, True), variables)
        assert moved == {"batch_stats": variables[player]["batch_stats"]}


def test_other_features_are_refused():
    with pytest.raises(ValueError, match=r"OriginalNoteGan makes \(127, 127, 2\).*the features are \(128, 512\)"):
        MODEL.init(jax.random.key(0), Spec(shape=(128, 512)))
    with pytest.raises(ValueError, match="model.latent: expected at least 1, got 0"):
        OriginalNoteGan(latent=0)
