"""Who may import whom: the table of docs/design.md, held."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "mgen"

# Room: the rooms of mgen it may import. A folder's own modules are always allowed within it.
MAY_IMPORT = {
    "arrays": set(),
    "controls": {"arrays"},
    "contracts": {"arrays", "controls"},
    "panel": {"controls"},
    "parallel": set(),
    "audio": {"arrays"},
    "dsp": {"arrays", "parallel"},
    "features": {"arrays", "dsp"},
    "data": {"arrays", "contracts", "controls", "audio", "dsp", "metrics"},
    "layers": {"arrays", "dsp"},
    "losses": {"arrays", "dsp"},
    "latents": {"arrays"},
    "sketches": {"latents"},
    "principal": set(),
    "rectified": set(),
    "blocks": set(),
    "models": {
        "arrays",
        "contracts",
        "controls",
        "layers",
        "losses",
        "latents",
        "sketches",
        "principal",
        "rectified",
        "blocks",
        "dsp",
    },
    "pictures": {"arrays", "dsp"},
    "metrics": {"arrays", "dsp"},
    "evaluation": {"arrays", "contracts", "controls", "parallel", "audio", "dsp", "pictures", "metrics", "training"},
    "training": {"arrays", "contracts", "controls", "panel", "parallel", "audio", "pictures", "metrics", "data"},
    "studio": {"audio", "contracts", "controls", "panel", "dsp", "training"},
    "commands": {
        "arrays",
        "contracts",
        "controls",
        "panel",
        "parallel",
        "audio",
        "dsp",
        "pictures",
        "data",
        "training",
        "evaluation",
        "studio",
    },
    "__main__": {"commands"},
    "__init__": set(),
}
# Of the data only the loader and the error: an experiment brings its own source.
TRAINING_FROM_DATA = {"mgen.data", "mgen.data.loader"}


def imports(path: pathlib.Path, package: str = "mgen") -> list[str]:
    """Every module of a package ("" is any) that a file imports, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            whole = node.module == "mgen"
            found += [f"mgen.{alias.name}" for alias in node.names] if whole else [node.module]
    return [name for name in found if package in ("", name.partition(".")[0])]


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
    ("library", "homes"),
    [("soundfile", {"audio.py"}), ("soxr", {"audio.py"}), ("matplotlib", {"pictures.py"}), ("librosa", {"tempo.py"})],
)
def test_a_library_has_one_home(library, homes):
    users = {path.name for path in rooms() if library in {name.split(".")[0] for name in imports(path, "")}}
    assert users == homes


def test_pmap_has_one_home():
    assert [path.name for path in rooms() if "pmap(" in path.read_text()] == ["parallel.py"]


def test_the_table_is_the_one_of_the_design():
    """Every room of the package stands in docs/design.md, with the imports that are allowed here."""
    text = (PACKAGE.parent / "docs" / "design.md").read_text()
    rows = re.findall(r"^\| (`mgen/[^|]+) \| [^|]+ \| ([^|]*) \|$", text, re.MULTILINE)
    table = {room: allowed for names, allowed in rows for room in re.findall(r"`mgen/(\w+)(?:\.py|/)`", names)}
    for room in set(MAY_IMPORT) - {"__main__", "__init__", "commands"}:
        written = {word.split(".")[0].strip() for word in table[room].split(",")} - {"-"}
        assert written == MAY_IMPORT[room], room


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


def test_importing_starts_no_device():
    """`parallel.use_all_cores` and `jax.distributed` come before a device is first used, and --help takes none."""
    modules = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py")]
    modules = [name for name in modules if not name.endswith(("__main__", "__init__"))]
    code = (
        f"import importlib\nfor name in {modules}: importlib.import_module(name)\n"
        "from jax._src import xla_bridge\nassert not xla_bridge.backends_are_initialized()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
