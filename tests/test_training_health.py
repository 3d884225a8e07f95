"""The watch on a game: what it calls a collapse, and up to where it was well."""

import numpy as np
import pytest

from mgen.training.health import Collapse, Watch


def logged(watch, count, start=0, **values):
    rng = np.random.default_rng(start)
    for index in range(count):
        noisy = {"generator/loss": rng.normal(2, 0.3), "generator/gradient_norm": rng.uniform(1, 2)}
        watch.trained(start + index, noisy | values)


def test_a_game_that_moves_is_left_alone():
    watch = Watch(2, 0)
    logged(watch, 200)
    for step in (50, 100):
        watch.validated(step, {"validation/sound/spread": 0.9})


def test_a_pinned_loss_is_a_collapse_from_the_last_healthy_validation():
    watch = Watch(2, 7)
    logged(watch, 60)
    watch.validated(60, {"validation/sound/spread": 0.8})
    with pytest.raises(Collapse, match="generator/loss") as found:
        logged(watch, 60, start=60, **{"generator/loss": float(np.log1p(np.e))})
    assert found.value.healthy == 60 and found.value.step == 109, "50 values stood still"


def test_sounds_that_are_alike_are_a_collapse():
    watch = Watch(2, 7)
    with pytest.raises(Collapse, match="differ from each other by 10% of what real ones do") as found:
        watch.validated(90, {"validation/sound/spread": 0.1})
    assert found.value.healthy == 7
    watch.validated(95, {"validation/generator/loss": 1.0})  # where no sounds are played nothing is said against it


def test_a_game_of_one_is_not_watched():
    watch = Watch(1, 0)
    logged(watch, 120, **{"generator/loss": 1.0})
    watch.validated(120, {"validation/sound/spread": 0.0})
