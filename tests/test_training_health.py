"""The watch on a game: what it calls a collapse, and up to where it was well."""

import numpy as np
import pytest

from mgen.training.health import Collapse, Watch


def logged(watch, count, start=0, **values):
    rng = np.random.default_rng(start)
    for index in range(count):
        noisy = {"generator/loss": rng.normal(2, 0.3), "generator/gradient_norm": rng.uniform(1, 2)}
        watch.trained(start + index, noisy | values)


WELL, ALIKE = {"validation/sound/spread": 0.8}, {"validation/sound/spread": 0.1}


def test_a_game_that_moves_is_left_alone():
    watch = Watch(2)
    logged(watch, 200)
    for step in (200, 210):
        watch.validated(step, WELL)


def test_a_pinned_loss_was_well_where_its_window_begins_whatever_was_validated_since():
    watch = Watch(2)
    logged(watch, 60)
    with pytest.raises(Collapse, match="generator/loss") as found:
        for start in range(60, 160, 10):
            logged(watch, 10, start=start, **{"generator/loss": float(np.log1p(np.e))})
            watch.validated(start + 10, WELL)
    assert found.value.step == 109 and found.value.healthy == 60, "50 values stood still"


def test_a_gradient_that_fell_by_far_has_vanished():
    watch = Watch(2)
    logged(watch, 200)
    with pytest.raises(Collapse, match="gradient_norm") as found:
        logged(watch, 60, start=200, **{"generator/gradient_norm": 1e-5})
    assert 170 <= found.value.healthy <= 200


def test_sounds_that_were_well_and_are_alike_or_broken_are_a_collapse():
    watch = Watch(2)
    watch.validated(30, ALIKE)  # it has only begun
    watch.validated(60, WELL)
    with pytest.raises(Collapse, match="differ from each other by 10% of what real ones do") as found:
        watch.validated(90, ALIKE)
    assert found.value.healthy == 60
    with pytest.raises(Collapse, match="75% of the generated sounds hold NaN"):
        watch.validated(90, {"validation/sound/broken": 0.75})
    watch.validated(95, {"validation/generator/loss": 1.0})  # where no sounds are played nothing is said against it


def test_what_was_logged_before_is_remembered_and_not_found_again():
    watch = Watch(2)
    for step in range(60):
        watch.remember(step, {"generator/loss": 1.0, "generator/gradient_norm": 1.0})
    watch.remember(60, WELL)
    with pytest.raises(Collapse) as found:
        watch.validated(90, ALIKE)
    assert found.value.healthy == 60
    with pytest.raises(Collapse) as found:
        watch.trained(91, {"generator/loss": 1.0, "generator/gradient_norm": 1.0})
    assert found.value.healthy == 11


def test_a_game_of_one_is_not_watched():
    watch = Watch(1)
    logged(watch, 120, **{"generator/loss": 1.0})
    watch.validated(110, WELL)
    watch.validated(120, ALIKE)
