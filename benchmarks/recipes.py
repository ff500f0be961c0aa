"""Recipes for first runs: every recipe on every picture with every seed, for the same CPU time, rendered and measured.

    python benchmarks/recipes.py --data FOLDER,photo.jpg,CLIP_FOLDER --out DIR [--recipes small,wide] \\
        [--pictures barn,bus] [--seeds 0,1,2] [--cpu 80] [--num 16] [--longest 256]
    python benchmarks/recipes.py --out DIR --table

--data takes pictures, folders of pictures (each a case of its own) and, after "clip:", folders of frames. --cpu counts
CPU seconds of the training steps alone, without compiling and rendering, so that other work on the machine hardly
matters; taskset -c 0 gives one core. What DIR holds already is not done again: a long bench runs in pieces. The table
gives, for each recipe, means over pictures of the mean over seeds and of the worst seed, and each picture on its own;
sheets/RECIPE.png shows each picture and rendered samples of its worst seed. Needs the metrics' weights
(python -m siv_jax.weights fetch).
"""

import argparse
import collections
import contextlib
import json
import signal
import statistics
import time
from pathlib import Path

import jax
import numpy as np
from PIL import Image

import siv_jax
from siv_jax.metrics.measure import load_networks, measure

# Name -> what it changes in the config quick. `quick_0.1` is that config as it was in version 0.1.
_STEADY = {"loss.diversity_target": 0.0, "loss.diversity_scale": "as_run", "augment.feature": 0.4}
RECIPES = {
    "quick": {},
    "steady": _STEADY | {"loss.diversity_weight": 0.09},
    "quick_0.1": _STEADY
    | {"loss.diversity_weight": 0.05, "data.max_size": 64, "model.num_blocks_d": 5, "num_steps": 6000},
}

# Metric -> which of two values is the worse.
METRICS = {
    "sifid_64": max,
    "sifid_768": max,
    "lpips_diversity": min,
    "ms_ssim": max,
    "distance_to_train": min,
    "near_copies": max,
}
SHOWN = 7  # samples of each picture on a sheet
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_WATCHED = 100  # steps from one look at the clock to the next


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the clock's, also where a shell has it ignored
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", help="pictures, folders of pictures, clip:FOLDER, with commas")
    parser.add_argument("--out", required=True, help="folder of the results")
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--pictures", default="", help="names without suffix; all if not given")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--cpu", type=float, default=80.0, help="CPU seconds of training steps")
    parser.add_argument("--num", type=int, default=16, help="samples to render and measure")
    parser.add_argument("--longest", type=int, default=256, help="longer side of a rendering at most")
    parser.add_argument("--table", action="store_true", help="only write the table and the sheets")
    given = parser.parse_args()
    out = Path(given.out)
    (out / "sheets").mkdir(parents=True, exist_ok=True)
    if not given.table:
        bench(given, out)
    lines = read(out)
    text = table(lines)
    (out / "table.md").write_text(text)
    print(text)
    for recipe in sorted({line["recipe"] for line in lines}):
        sheet(out, recipe, lines).save(out / "sheets" / f"{recipe}.png")


def bench(given: argparse.Namespace, out: Path) -> None:
    """Does what is not done yet, one line of results.jsonl each."""
    cases = find(given.data, given.pictures)
    networks = load_networks("alex", None)
    done = {(line["recipe"], line["picture"], line["seed"]) for line in read(out)}
    for seed in map(int, given.seeds.split(",")):
        for recipe in given.recipes.split(","):
            for picture, path in cases.items():
                if (recipe, picture, seed) in done:
                    continue
                folder = out / "runs" / recipe / picture / str(seed)
                began = time.monotonic()
                model, cpu = train(recipe, path, seed, folder, given.cpu)
                trained = time.monotonic()
                reals = read_pictures(path, given.longest)
                height, width = reals.shape[1:3]
                rough, rendered = model.sample(given.num), model.render(given.num, size=f"{width}x{height}")
                seconds = {"train": trained - began, "render": time.monotonic() - trained}
                np.savez_compressed(folder / "samples.npz", rough=rough, rendered=rendered)
                line = {"recipe": recipe, "picture": picture, "seed": seed, "step": model.step, "cpu": round(cpu, 1)}
                line |= {name: round(value, 1) for name, value in seconds.items()}
                line |= values(rendered, reals, networks)
                with open(out / "results.jsonl", "a") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)


def train(recipe: str, path: Path, seed: int, folder: Path, budget: float) -> tuple[siv_jax.Model, float]:
    """The model after `budget` CPU seconds of steps, or after quick's num_steps, and the seconds."""
    clock = Clock(budget)
    fixed = {"time_limit": "", "data.path": str(path), "seed": seed, "sample_every": _WATCHED, "num_samples": 2}
    overrides = RECIPES[recipe] | fixed
    with contextlib.suppress(KeyboardInterrupt):  # the clock's own
        siv_jax.train("quick", folder, overrides, devices=1, say=lambda line: None, watch=clock)
    return siv_jax.load(folder), clock.spent


class Clock:
    """Stops a run, as Ctrl-C would, once its steps have taken `budget` CPU seconds.

    The first interval holds the compilation and counts as much as the second one.
    """

    def __init__(self, budget: float):
        self._budget, self._marks = budget, []

    def __call__(self, step: int) -> None:
        self._marks.append(time.process_time())
        if self.spent >= self._budget:
            signal.raise_signal(signal.SIGINT)

    @property
    def spent(self) -> float:
        """CPU seconds of the steps so far."""
        marks = self._marks
        return 0.0 if len(marks) < 2 else (marks[-1] - marks[0]) + (marks[1] - marks[0])


def find(data: str, wanted: str) -> dict[str, Path]:
    """Name -> path of each case."""
    found = {}
    for given in filter(None, data.split(",")):
        path = Path(given.removeprefix("clip:"))
        single = given.startswith("clip:") or path.is_file()
        paths = [path] if single else sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES)
        found |= {p.stem: p for p in paths}
    names = wanted.split(",") if wanted else found
    return {name: found[name] for name in names}


def read_pictures(path: Path, longest: int, most: int = 8) -> np.ndarray:
    """uint8 [N, H, W, 3]: the picture, or at most `most` frames of a clip; their longer side is `longest` at most."""
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES)
    pictures = []
    for file in files[:: -(-len(files) // most)]:
        picture = Image.open(file).convert("RGB")
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        pictures.append(np.asarray(picture))
    return np.stack(pictures)


def values(rendered: np.ndarray, reals: np.ndarray, networks) -> dict[str, float | None]:
    """The metrics of one run; SIFID of a clip to the nearest frame."""
    found = measure(rendered, reals, networks).values
    return {name: found[name] and round(found[name].value, 4) for name in METRICS}


def read(out: Path) -> list[dict]:
    """The results so far."""
    path = out / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(lines: list[dict]) -> str:
    """Markdown: recipes over all pictures, mean and worst seed; then each picture."""
    groups = collections.defaultdict(list)
    for line in lines:
        groups[line["recipe"], line["picture"]].append(line)
    by_recipe = collections.defaultdict(dict)
    for (recipe, picture), group in groups.items():
        by_recipe[recipe][picture] = {
            name: (statistics.mean(line[name] for line in group), worse(line[name] for line in group))
            for name, worse in METRICS.items()
        }
    rows = [["recipe", "picture", "seeds", *METRICS], ["---"] * 3 + ["---:"] * len(METRICS)]
    for recipe, pictures in by_recipe.items():
        mean = {
            name: tuple(statistics.mean(found[name][i] for found in pictures.values()) for i in (0, 1))
            for name in METRICS
        }
        worst = {name: (worse(found[name][0] for found in pictures.values()),) for name, worse in METRICS.items()}
        rows.append([f"**{recipe}**", f"mean of {len(pictures)}", "", *(_cell(mean[name]) for name in METRICS)])
        rows.append(["", "worst picture", "", *(_cell(worst[name]) for name in METRICS)])
        for picture, found in sorted(pictures.items()):
            seeds = str(len(groups[recipe, picture]))
            rows.append(["", picture, seeds, *(_cell(found[name]) for name in METRICS)])
    return "mean over seeds (worst seed)\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(found: tuple[float, ...]) -> str:
    first, *worst = (f"{value:.3f}" if abs(value) < 5 else f"{value:.1f}" for value in found)
    return f"{first} ({worst[0]})" if worst else first


def sheet(out: Path, recipe: str, lines: list[dict], width: int = 180) -> Image.Image:
    """A row for each picture: the picture, and samples of the seed whose samples are most alike."""
    rows = []
    for picture in sorted({line["picture"] for line in lines if line["recipe"] == recipe}):
        group = [line for line in lines if (line["recipe"], line["picture"]) == (recipe, picture)]
        seed = min(group, key=lambda line: line["lpips_diversity"])["seed"]
        samples = np.load(out / "runs" / recipe / picture / str(seed) / "samples.npz")["rendered"][:SHOWN]
        height = round(width * samples.shape[1] / samples.shape[2])
        rows.append([Image.fromarray(sample).resize((width, height)) for sample in samples])
    whole = Image.new("RGB", (SHOWN * width, sum(row[0].height for row in rows)))
    top = 0
    for row in rows:
        for column, tile in enumerate(row):
            whole.paste(tile, (column * width, top))
        top += row[0].height
    return whole


if __name__ == "__main__":
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    main()
