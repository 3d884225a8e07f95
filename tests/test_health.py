"""What a run's log says of its game."""

import dataclasses
import json

import numpy as np
import pytest

from mgen.evaluation import health
from tests.test_evaluate import toy
from tests.test_scorecard import chirps, sets_of


def log(folder, losses, norm=1.0, right=0.7):
    rng = np.random.default_rng(0)
    lines = []
    for step, loss in enumerate(losses, start=1):
        noise = 0 if loss == 1.3133 else rng.normal(0, 0.05)
        lines.append({"step": step, "mean/loss": loss + noise, "mean/gradient_norm": norm, "refused": 0.0})
        lines[-1] |= {"follower/real_right": right, "follower/made_right": right}
        lines.append({"step": step, "validation/mean/loss": 99.0})
    (folder / "metrics.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + '\n{"step": 9')


@pytest.fixture(scope="module")
def game():
    return toy()[0]


def check(folder, game, generated, step=60):
    return health.check(folder, dataclasses.replace(game, step=step), sets_of(generated), seed=0)


def test_a_discriminator_that_has_won(tmp_path, game):
    log(tmp_path, np.linspace(2, 1, 60), right=0.99)
    first, *_ = check(tmp_path, game, chirps(12, 3))
    assert first.startswith("discriminator: right 99% of the time; it has won")


def test_a_game_that_is_well(tmp_path, game):
    log(tmp_path, np.linspace(2, 1, 60))
    first, second = check(tmp_path, game, chirps(12, 3))
    assert "in the last 50 logged values no loss stands still" in first
    assert second == "samples: 12 are as varied as the real ones"


def test_a_saturated_discriminator_and_a_collapsed_generator(tmp_path, game):
    log(tmp_path, [1.3133] * 60)
    first, *rest = check(tmp_path, game, np.repeat(chirps(1, 3), 8, axis=0))
    assert first.startswith("mean/loss: constant at 1.3133") and "saturated" in first
    assert any("collapsed" in line for line in rest)


def test_only_what_was_logged_up_to_the_checkpoint(tmp_path, game):
    log(tmp_path, [*np.linspace(2, 1, 20), *[1.3133] * 60])
    lines = check(tmp_path, game, chirps(8, 3), step=20)
    assert "in the last 20 logged values no loss stands still" in lines[0]
    assert check(tmp_path, game, chirps(8, 3), step=80)[0].startswith("mean/loss: constant")


def test_too_little_to_say_anything(tmp_path, game):
    assert (
        check(tmp_path, game, chirps(8, 3))[0]
        == "training: 0 logged values are too few to say anything; log more often"
    )
    assert any(line.startswith("samples: not compared") for line in check(tmp_path, game, chirps(2, 3)))


def test_one_player_is_no_game(tmp_path, game):
    variables = {"mean": game.state.variables["mean"]}
    alone = dataclasses.replace(game, state=game.state.replace(variables=variables))
    assert health.check(tmp_path, alone, sets_of(chirps(8, 3)), seed=0) == []
