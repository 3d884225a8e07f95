"""Who may import whom: the table of docs/design.md, held."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "mgen"

# Room: the rooms of mgen it may import. A folder's own modules are always allowed within it.
MAY_IMPORT = {
    "arrays": set(),
    "controls": {"arrays"},
    "contracts": {"arrays", "controls"},
    "parallel": set(),
    "audio": {"arrays"},
    "dsp": {"arrays", "parallel"},
    "features": {"arrays", "dsp"},
    "data": {"arrays", "contracts", "controls", "audio"},
    "layers": {"arrays", "dsp"},
    "losses": {"arrays", "dsp"},
    "models": {"arrays", "contracts", "controls", "layers", "losses", "dsp"},
    "pictures": {"arrays", "dsp"},
    "training": {"arrays", "contracts", "controls", "parallel", "audio", "pictures", "data"},
    "commands": {"arrays", "contracts", "controls", "parallel", "audio", "pictures", "data", "training"},
    "__main__": {"commands"},
    "__init__": set(),
}
# Of the data only the loader and the error: an experiment brings its own source.
TRAINING_FROM_DATA = {"mgen.data", "mgen.data.loader"}


def imports(path: pathlib.Path) -> list[str]:
    """Every module of mgen that a file imports, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            whole = node.module == "mgen"
            found += [f"mgen.{alias.name}" for alias in node.names] if whole else [node.module]
    return [name for name in found if name.partition(".")[0] == "mgen"]


def rooms() -> list[pathlib.Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", rooms(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_what_lies_below(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert room in MAY_IMPORT, f"{room} is a new room: add it to the table here and in docs/design.md"
    for name in imports(path):
        target = name.split(".")[1]
        assert target == room or target in MAY_IMPORT[room], f"{path.name} imports {name}"
        if room == "training" and target == "data":
            assert name in TRAINING_FROM_DATA, f"{path.name} imports {name}"


@pytest.mark.parametrize(
    ("word", "home"),
    [
        ("pmap(", "parallel.py"),
        ("import soundfile", "audio.py"),
        ("import soxr", "audio.py"),
        ("import matplotlib", ""),
    ],
)
def test_has_one_home(word, home):
    users = [path.name for path in rooms() if word in path.read_text()]
    assert set(users) <= {home}, f"{word} is used in {users}"


def test_no_room_without_a_responsibility():
    names = {part.removesuffix(".py") for path in rooms() for part in path.relative_to(PACKAGE).parts}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}


@pytest.mark.parametrize("path", rooms(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 300


def test_import_is_light():
    """`import mgen`, and what a config imports, load neither librosa, numba, matplotlib nor a sound library."""
    code = (
        "import sys, mgen, mgen.features, mgen.models.switch_decoder, mgen.training.experiment;"
        "print([name for name in ('librosa', 'numba', 'matplotlib', 'scipy.signal') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"
    done = subprocess.run(
        [sys.executable, "-c", "import sys, mgen; print('jax' in sys.modules)"],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        check=True,
    )
    assert done.stdout.strip() == "False"
