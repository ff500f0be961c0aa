"""What is learned after how long: metrics of one picture's model as its training goes on, one JSON line each time.

    python benchmarks/quality.py --data photo.jpg --at 500,1000,2000 --seeds 0,1 --name default [--out FILE] \\
        [--folder DIR] [--config single_image] [--rendered] -- data.max_size=64 model.ch_g=16 model.ch_d=16
    python benchmarks/quality.py --summary FILE

What follows -- are settings on top of the config's. --rendered measures the samples rendered at the photo's size.
seconds counts the training loop alone, over all resumptions, without compilation. --summary prints, for each name and
step, the mean over the seeds and their standard deviation: two ways of training learn the same where their means differ
by less than the spread of seeds. Needs the metrics' weights (python -m siv_jax.weights fetch).
"""

import argparse
import ast
import collections
import json
import statistics
import tempfile
from pathlib import Path

from measure import device_name, emit

import siv_jax
from siv_jax.models import registry
from siv_jax.workdir import logs

METRICS = (
    *("lpips_diversity", "sifid_64", "sifid_192", "sifid_768", "pixel_diversity", "ms_ssim"),
    *("distance_to_train", "near_copies"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="example:balloons", help="what data.path takes")
    parser.add_argument("--name", default="default", help="of this way of training, for the summary")
    parser.add_argument("--at", default="500,1000,2000", help="steps after which to measure")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--num", type=int, default=50, help="samples to measure")
    parser.add_argument("--config", default="single_image")
    parser.add_argument("--rendered", action="store_true", help="measure rendered samples")
    parser.add_argument("--folder", default="", help="where the runs are kept")
    parser.add_argument("--out", default="", help="file to append the lines to")
    parser.add_argument("--summary", metavar="FILE", help="print means and spreads of the lines in a file")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    given = parser.parse_args()
    if given.summary:
        summarize([json.loads(line) for line in Path(given.summary).read_text().splitlines()])
        return
    settings = {key: _value(text) for key, text in (setting.split("=", 1) for setting in given.settings)}
    with tempfile.TemporaryDirectory() as scratch:
        for seed in map(int, given.seeds.split(",")):
            folder = Path(given.folder or scratch) / f"{given.name}_{seed}"
            follow(given, settings | {"seed": seed}, folder)


def follow(given: argparse.Namespace, settings: dict, folder: Path) -> None:
    """Trains in `folder` up to each of the steps in --at, and measures there."""
    for steps in map(int, given.at.split(",")):
        overrides = {"data.path": given.data, "num_steps": steps} | settings
        model = siv_jax.train(given.config, folder, overrides, devices=1, say=lambda line: None)
        entries = logs.entries(folder)
        recent = entries[-max(1, len(entries) // 4) :]
        found = siv_jax.evaluate(model, num=given.num, rendered=given.rendered)["mean"]
        line = {
            "benchmark": "quality",
            "name": given.name,
            "config": given.config,
            "rendered": given.rendered,
            "device": device_name(),
            "data": Path(given.data).name,
        }
        line |= {"settings": settings, "steps": steps, "seconds": round(logs.seconds_trained(entries), 1)}
        losses = registry.get(model.config.model.name).headline
        line |= {name: round(statistics.mean(entry[name] for entry in recent), 4) for name in losses.values()}
        line |= {name: found[name] and round(found[name]["value"], 4) for name in METRICS if name in found}
        emit(line, given.out)


def summarize(lines: list[dict]) -> None:
    """Prints mean and standard deviation over seeds of each number, by name and steps."""
    groups = collections.defaultdict(list)
    for line in lines:
        groups[line["name"], line["steps"]].append(line)
    for (name, steps), group in groups.items():
        columns = [key for key, value in group[0].items() if isinstance(value, float)]
        shown = {}
        for key in columns:
            values = [line[key] for line in group]
            spread = f"+-{statistics.stdev(values):.4f}" if len(values) > 1 else ""
            shown[key] = f"{statistics.mean(values):.4f}{spread}"
        print(f"{name} after {steps} steps, {len(group)} seed(s): " + ", ".join(f"{k} {v}" for k, v in shown.items()))


def _value(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main()
