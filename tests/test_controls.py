import numpy as np
import pytest

from mgen import controls, panel
from mgen.controls import Choice, Clip, Slider, Switch

KNOBS = (Slider("tempo", 100, 140, 120, "bpm"), Switch("drums"), Switch("bass"), Choice("key", ("C", "D", "E")))


def test_parses_what_a_person_types():
    assert panel.parse(KNOBS, ["tempo=110", "drums=0.5", "key=D"]) == {"tempo": 110.0, "drums": 0.5, "key": 1.0}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("drms=1", "no control is named 'drms'; did you mean 'drums'? The controls are: tempo, drums, bass, key"),
        ("zzz=1", "no control is named 'zzz' The controls are: tempo, drums, bass, key"),
        ("drums", "drums: expected name=value, for example tempo=1"),
        ("drums=loud", "drums=loud: expected a number from 0 to 1"),
        ("drums=2", "drums=2: out of range, expected 0 to 1"),
        ("drums=nan", "drums=nan: out of range, expected 0 to 1"),
        ("tempo=90", "tempo=90: out of range, expected 100 to 140 bpm"),
        ("key=H", "key=H: expected one of C, D, E"),
    ],
)
def test_refuses_with_the_way_out(word, message):
    with pytest.raises(ValueError) as error:
        panel.parse(KNOBS, [word])
    assert str(error.value) == message


def test_encodes_to_zero_to_one_and_one_hot():
    knobs = (Slider("level", -12, 0), *KNOBS[1:])
    columns = np.array([[-6, 0.5, 1, 2], [-12, 0, 0, 0.5]], np.float32)
    np.testing.assert_allclose(
        controls.encode(knobs, columns), [[0.5, 0.5, 1, 0, 0, 1], [0, 0, 0, 0.5, 0.5, 0]], atol=1e-7
    )
    assert sum(knob.width for knob in knobs) == 6


def test_tempi_and_pitches_are_steps_and_what_is_between_is_shared():
    slider = Slider("tempo", 118, 120.5, 119, "bpm")
    found = slider.encode(np.array([118, 119.25, 120.5], np.float32))
    np.testing.assert_allclose(found, [[1, 0, 0, 0], [0, 0.75, 0.25, 0], [0, 0, 0.5, 0.5]], atol=1e-5)
    assert slider.width == 4 == Slider("pitch", 60, 63, 60, "MIDI").width


def test_without_labels_a_network_is_given_nothing():
    np.testing.assert_array_equal(controls.encode((), np.zeros((3, 0), np.float32)), np.zeros((3, 1)))


def test_columns_follow_the_labels():
    settings = {"key": [1.0], "bass": [0.2], "drums": [0.1], "tempo": [120.0]}
    np.testing.assert_allclose(controls.columns(KNOBS, settings), [[120, 0.1, 0.2, 1]], atol=1e-7)
    assert controls.columns((), {"variety": np.ones(2)}).shape == (2, 0)


def test_fixing_a_switch_turns_the_others_off_and_leaves_the_rest():
    knobs = (Switch("a", default=1.0), Switch("b"), Slider("c", default=0.3))
    rng = np.random.default_rng(0)
    alone = panel.settle(knobs, {"b": 0.5}, count=2, rng=rng, vary=False)
    assert {name: values.tolist() for name, values in alone.items()} == {
        "a": [0, 0], "b": [0.5, 0.5], "c": [np.float32(0.3)] * 2,
    }  # fmt: skip
    defaults = panel.settle(knobs, {}, count=1, rng=rng, vary=False)
    assert defaults["a"].tolist() == [1.0]


def test_varying_draws_within_range_and_never_a_crowd_of_switches():
    knobs = (*(Switch(f"song{i}") for i in range(9)), Slider("tempo", 100, 140), Choice("key", ("C", "D")))
    drawn = panel.settle(knobs, {"key": 1.0}, count=50, rng=np.random.default_rng(0), vary=True)
    on = np.stack([drawn[f"song{i}"] for i in range(9)]) > 0
    assert set(on.sum(axis=0)) <= {1, 2}
    assert on.any(axis=1).all()
    assert 100 <= drawn["tempo"].min() < drawn["tempo"].max() <= 140
    assert set(drawn["key"]) == {1.0}
    again = panel.settle(knobs, {"key": 1.0}, count=50, rng=np.random.default_rng(0), vary=True)
    assert all((drawn[name] == again[name]).all() for name in drawn)


def test_says_what_each_control_is():
    assert panel.describe(KNOBS[0]) == "tempo: 100 to 140 bpm, default 120"
    assert panel.describe(KNOBS[3]) == "key: one of C, D, E, default C"
    assert panel.describe(Switch("drums", help="the kit")) == "drums: 0 to 1, default 0. the kit"
    settings = {"tempo": [120.0], "drums": [0.0], "bass": [0.5], "key": [2.0]}
    values = panel.shown(KNOBS, settings, 0)
    assert values == {"tempo": 120, "drums": 0, "bass": 0.5, "key": "E"}
    assert panel.caption(values) == "tempo=120 bass=0.5 key=E"


def test_how_a_model_is_played_is_not_drawn():
    knobs = (controls.Slider("a"), controls.variety("spread"), controls.AsideChoice("to", ("none", "b")))
    settings = panel.settle(knobs, {}, count=20, rng=np.random.default_rng(0), vary=True)
    assert np.ptp(settings["a"]) > 0.5 and np.all(settings["variety"] == 1) and np.all(settings["to"] == 0)
    assert panel.caption(panel.shown(knobs, settings, 0)).split()[1:] == ["variety=1"]


def test_what_is_shown_can_be_read_again():
    third = controls.Slider("third", 0.0, 1 / 3, 1 / 3)
    assert third.parse(str(third.show(np.float32(1 / 3)))) == 1 / 3
    drawn = np.random.default_rng(0).uniform(0, 1, 50).astype(np.float32)
    assert all(np.float32(controls.Slider("a").show(value)) == value for value in drawn)


def test_a_clip_is_a_text_that_only_a_person_gives():
    knobs = (Clip("content", "what is played"), Slider("mix"), Clip("style"))
    assert panel.parse(knobs, ["content=a=b.mp3", "style="]) == {"content": "a=b.mp3", "style": ""}
    assert panel.describe(knobs[0]) == "content: a sound file, default none. what is played"
    drawn = panel.settle(knobs, {"style": "b.ogg"}, count=3, rng=np.random.default_rng(0), vary=True)
    assert set(drawn) == {"mix", "style"} and drawn["mix"].dtype == np.float32
    assert drawn["style"].dtype == object and drawn["style"].tolist() == ["b.ogg"] * 3
    assert set(panel.settle(knobs, {}, count=2, rng=np.random.default_rng(0), vary=True)) == {"mix"}


def test_some_sounds_have_a_clip_and_others_none():
    knobs = (Clip("content"), Slider("mix"))
    rows = [{"content": "a.wav", "mix": 0.25}, {"mix": 0.5}, {"content": "data:audio/wav;base64,AAAA"}]
    settings = panel.settings_of(knobs, rows)
    assert settings["content"].tolist() == ["a.wav", "", "data:audio/wav;base64,AAAA"]
    again = panel.settings_of(knobs, [panel.shown(knobs, settings, index) for index in range(3)])
    assert all((again[name] == settings[name]).all() for name in settings)
    captions = [panel.caption(panel.shown(knobs, settings, index)) for index in range(3)]
    assert captions == ["content=a.wav mix=0.25", "mix=0.5", "content=data:audio/wav;base64 mix=0.5"]
    assert panel.shown(knobs, panel.settings_of(knobs, [{}]), 0) == {"content": "", "mix": 0.5}


def test_columns_count_the_sounds_by_any_control():
    clips = controls.Clips(np.zeros((3, 4, 5), np.float32), np.ones(3, bool))
    assert controls.columns((), {"content": clips, "mix": np.ones(3)}).shape == (3, 0)
