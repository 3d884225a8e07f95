"""The scorecard of a run, kept with the device and the versions: `mgen evaluate`, as a result file.

python train.py configs/switches.py --data.path FOLDER --workdir runs/switches
python benchmarks/scorecard.py runs/switches --name scorecard_switches [--count 64] [--seeds 5]
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record


def main() -> None:
    """Evaluates the run, prints the table and writes benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("--name", required=True, help="of the result file")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    from mgen.commands import evaluate
    from mgen.evaluation import scorecard
    from mgen.evaluation.sliders import Heard, Sliders

    words = [str(asked.workdir), "--count", str(asked.count), "--seeds", str(asked.seeds)]
    evaluate.main(words, program="mgen evaluate")
    found = json.loads((asked.workdir / "evaluation" / "evaluation.json").read_text())
    table = scorecard.rows(found["summary"])
    counts = ", ".join(f"{count} {name}" for name, count in found["counts"].items())
    about = (
        f"`mgen evaluate` of {asked.workdir.name}, step {found['step']}, {asked.seeds} seeds of {counts}: means ± half "
        "of their 95 % interval, of sets over seeds, of clips over different clips."
    )
    if found["sliders"]:
        own = found["sliders"]
        sliders = Sliders(own["names"], own["without"], *(Heard(**own[kind]) for kind in ("model", "truth")))
        heard = f"The sliders of {asked.workdir.name} at step {found['step']}, each moved alone and all at random."
        print(record(f"{asked.name}_sliders", table=sliders.rows(), seed=0, about=heard, details=found["sliders"]))
    print(markdown(table), record(asked.name, table=table, seed=0, about=about, details=found))


if __name__ == "__main__":
    main()
