"""What choosing among draws and rendering change, on trained models: one JSON line a run and choice.

    python benchmarks/choices.py --runs DIR/runs/quick --data FOLDER [--candidates 1,8] [--fidelity 4.5,7] \\
        [--seed 1] [--num 16] [--out FILE]

DIR is that of a finished recipes.py with the same --data. Nothing is trained, so that choices compare on equal models.
Needs the metrics' weights (python -m siv_jax.weights fetch).
"""

import argparse
import dataclasses
import itertools
from pathlib import Path

import jax
import numpy as np
from measure import emit
from recipes import find, read_pictures, values

import siv_jax
from siv_jax.metrics.measure import load_networks
from siv_jax.sampling import pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", required=True, help="folder of PICTURE/SEED workdirs")
    parser.add_argument("--data", required=True, help="as of recipes.py")
    parser.add_argument("--pictures", default="", help="names without suffix; all if not given")
    parser.add_argument("--candidates", default="1,8")
    parser.add_argument("--fidelity", default="7")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--num", type=int, default=16)
    parser.add_argument("--longest", type=int, default=256, help="longer side of a rendering at most")
    parser.add_argument("--out", default="", help="file to append the lines to")
    given = parser.parse_args()
    networks = load_networks("alex", None)
    choices = [*itertools.product(map(int, given.candidates.split(",")), map(float, given.fidelity.split(",")))]
    for picture, path in find(given.data, given.pictures).items():
        model = siv_jax.load(Path(given.runs) / picture / given.seed)
        reals = read_pictures(path, given.longest)
        size = f"{reals.shape[2]}x{reals.shape[1]}"
        for candidates, fidelity in choices:
            model.config = dataclasses.replace(model.config, candidates=candidates)
            made = [one.images for one in model.rendered(given.num, 0, size, fidelity)]
            rendered = pictures.to_uint8(np.concatenate(made))
            line = {"picture": picture, "seed": int(given.seed), "candidates": candidates, "fidelity": fidelity}
            emit(line | values(rendered, reals, networks), given.out)


if __name__ == "__main__":
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    main()
