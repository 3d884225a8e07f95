import logging
import pathlib

import jax
import numpy as np
import pytest

from mgen.contracts import Spec
from mgen.controls import Switch
from mgen.data.tones import Tones
from mgen.features import LogMel
from mgen.models.switch_decoder import SwitchDecoder
from mgen.training.checkpoint import CheckpointError, Checkpoints, digest, load, template
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam
from mgen.training.step import create_state

SPEC = Spec(shape=(32, 16), labels=(Switch("a"), Switch("b")))
EXPERIMENT = Experiment(
    data=Tones(),
    features=LogMel(sample_rate=8_000, frames=32, n_fft=512, hop_length=128, n_mels=16),
    model=SwitchDecoder(upscale=4, width=4, depth=1),
    optimisers={"decoder": Adam()},
)


def state_at(step: int):
    optimisers = {player: own.build(10) for player, own in EXPERIMENT.optimisers.items()}
    state = create_state(EXPERIMENT.model.init(jax.random.key(step), SPEC), optimisers)
    return state.replace(step=np.int32(step))


@pytest.fixture
def saved(tmp_path) -> pathlib.Path:
    """A run with checkpoints 2, 3 and 4; 1 was dropped."""
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1, 2, 3, 4):
        checkpoints.save(state_at(step), EXPERIMENT, SPEC)
    checkpoints.close()
    return tmp_path


def same(a, b) -> bool:
    return digest(jax.device_get(a)) == digest(jax.device_get(b))


def largest_file(folder: pathlib.Path) -> pathlib.Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def flip_a_bit(path: pathlib.Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0x10
    path.write_bytes(damaged)


def test_holds_all_that_sampling_needs(saved):
    loaded = load(saved)
    assert (loaded.experiment, loaded.spec, loaded.step) == (EXPERIMENT, SPEC, 4)
    assert same(loaded.state, state_at(4))
    assert load(saved, step=3).step == 3


def test_keeps_the_newest(saved):
    checkpoints = Checkpoints(saved)
    assert checkpoints.steps() == [2, 3, 4]
    checkpoints.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip_a_bit(largest_file(folder / "state")),
        lambda folder: largest_file(folder / "state").write_bytes(b""),
        lambda folder: largest_file(folder / "state").unlink(),
        lambda folder: largest_file(folder / "about").write_text("{"),
    ],
    ids=["flipped bit", "emptied", "deleted", "half a config"],
)
def test_a_broken_newest_checkpoint_is_said_and_set_aside(saved, damage, caplog):
    damage(saved / "checkpoints" / "4")
    with caplog.at_level(logging.WARNING, logger="mgen"):
        loaded = load(saved)
    assert loaded.step == 3
    assert same(loaded.state, state_at(3))
    assert "checkpoints/4 is broken" in caplog.text
    assert "going back to the one before" in caplog.text
    assert not (saved / "checkpoints.broken").exists()  # sampling only looks
    with pytest.raises(CheckpointError, match="checkpoints/4 is broken"):
        load(saved, step=4)
    checkpoints = Checkpoints(saved)
    assert same(checkpoints.newest(lambda step: checkpoints.restore(state_at(0), step)), state_at(3))
    assert (saved / "checkpoints.broken" / "4").is_dir()
    checkpoints.save(state_at(4), EXPERIMENT, SPEC)  # the run can save that step again
    checkpoints.close()
    assert load(saved).step == 4


def test_nothing_whole_is_an_error(saved):
    for step in (2, 3, 4):
        flip_a_bit(largest_file(saved / "checkpoints" / str(step) / "state"))
    with pytest.raises(CheckpointError, match=r"none of the checkpoints \[2, 3, 4\] can be read"):
        load(saved)
    checkpoints = Checkpoints(saved)
    for _ in range(2):  # nothing is moved, so a second try does not begin anew over the remains
        with pytest.raises(CheckpointError, match="none of the checkpoints"):
            checkpoints.newest(lambda step: checkpoints.restore(state_at(0), step))
    checkpoints.close()


def test_another_version_of_mgen_touches_nothing(saved, monkeypatch):
    before = sorted(str(path) for path in saved.rglob("*"))
    with monkeypatch.context() as patch:
        patch.setattr(SwitchDecoder, "__init__", lambda self: None)  # as if it had other fields
        with pytest.raises(CheckpointError, match="it was saved by another version of mgen"):
            load(saved)
    with monkeypatch.context() as patch:
        patch.setattr("mgen.training.checkpoint.template", lambda *_: {"other": np.zeros(3)})
        with pytest.raises(CheckpointError, match="its arrays are not those of this experiment"):
            load(saved)
    assert sorted(str(path) for path in saved.rglob("*")) == before
    assert load(saved).step == 4


def test_reading_leaves_a_checkpoint_that_is_being_written(saved):
    half = saved / "checkpoints" / "5.orbax-checkpoint-tmp"
    half.mkdir()
    assert load(saved).step == 4
    assert half.is_dir()


def test_errors_say_the_way_out(saved, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(CheckpointError, match="no checkpoint here; train first: mgen train CONFIG --workdir"):
        load(empty)
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 9; there are \[2, 3, 4\]"):
        load(saved, step=9)


def test_a_template_computes_nothing():
    shapes = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), template(EXPERIMENT, SPEC))
    real = jax.tree.map(lambda leaf: (np.shape(leaf), str(leaf.dtype)), state_at(0))
    assert shapes == real


def test_digest_sees_values_names_and_types():
    base = {"a": np.arange(3.0), "b": np.zeros(2)}
    assert digest(base) == digest({"b": np.zeros(2), "a": np.arange(3.0)})
    others = [
        {"a": np.arange(3.0) + 1e-15, "b": np.zeros(2)},
        {"a": np.arange(3.0), "c": np.zeros(2)},
        {"a": np.arange(3.0, dtype=np.float32), "b": np.zeros(2)},
    ]
    assert len({digest(base), *map(digest, others)}) == 4
