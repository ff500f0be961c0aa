"""Rendering: seconds a sample, compilation, peak memory and distance to the exact search, as JSON lines.

    python benchmarks/render.py --photo photo.jpg [--width 250 1152 2304] [--count 3] [--exact_pairs N] [--out FILE]

Every width is measured in a process of its own, so that compilation is cold and peak memory is that size's. The photo
is enlarged to the width where it is smaller. Rough pictures are the photo at 32 pixels, mirrored and rolled.
`over_exact` is the mean distance of 1,024 of the rendered picture's patches to their matches, over that to their
nearest neighbours in the photo; null for large pictures, whose patches do not fit in memory. --exact_pairs is the
number of pairs of patches up to which a level is searched exactly; the device's own limit if not given. Results that
FILE already holds are not measured again.
"""

import argparse
import json
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
from measure import device_name, emit, summary
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, required=True)
    parser.add_argument("--width", type=int, nargs="+", default=[250, 1152, 2304])
    parser.add_argument("--count", type=int, default=3, help="samples that are timed")
    parser.add_argument("--exact_pairs", type=int, help="pairs of patches up to which the search is exact")
    parser.add_argument("--out", default="", help="file to append the lines to")
    given = parser.parse_args()
    lines = Path(given.out).read_text().splitlines() if given.out and Path(given.out).exists() else []
    found = map(json.loads, lines)
    done = {(line["photo"], line["size"][0], line["samples"], line.get("exact_pairs")) for line in found}
    context = multiprocessing.get_context("spawn")
    for width in given.width:
        if (given.photo.name, width, given.count, given.exact_pairs) not in done:
            with context.Pool(1) as pool:
                emit(pool.apply(measure, (given.photo, width, given.count, given.exact_pairs)), given.out)


def measure(path: Path, width: int, count: int, exact_pairs: int | None) -> dict:
    """One line: the photo rendered at `width`."""
    import jax

    from siv_jax.patches.pyramid import resize
    from siv_jax.patches.render import Renderer, Settings

    jax.config.update("jax_enable_compilation_cache", False)
    picture = Image.open(path).convert("RGB")
    height = round(picture.height * width / picture.width)
    photo = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), np.float32)[None] / 127.5 - 1
    rough_size = max(8, round(32 * height / width)), 32
    begun = time.perf_counter()
    settings = Settings(exact_pairs=exact_pairs)
    renderer = Renderer(photo, (height, width), rough_size=rough_size, settings=settings)
    mirrored = resize(photo, rough_size)[:, :, ::-1]
    rough = np.concatenate([np.roll(mirrored, 5 * number, axis=2) for number in range(count + 1)])
    renderer(rough[:1])
    cold = time.perf_counter() - begun
    seconds, processor = [], []
    for number in range(1, count + 1):
        begun, used = time.perf_counter(), time.process_time()
        rendered = renderer(rough[number : number + 1])
        seconds.append(time.perf_counter() - begun)
        processor.append(time.process_time() - used)
    small = height * width <= 400**2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "benchmark": "render",
        "device": device_name(),
        "jax": jax.__version__,
        "photo": path.name,
        "size": [width, height],
        "samples": count,
        "levels": [list(level.output) for level in renderer.levels],
        "exact_pairs": exact_pairs,
        "exact_levels": sum(map(renderer.exact_at, renderer.levels)),
        "first_sample_seconds": round(cold, 2),
        "seconds": summary(seconds),
        "processor_seconds": summary(processor),
        "peak_megabytes": round(peak),
        "over_exact": over_exact(rendered, photo, renderer.with_matches(rough[-1:])[1][0]) if small else None,
    }


def over_exact(rendered: np.ndarray, photo: np.ndarray, matches: np.ndarray) -> float:
    """Mean distance of patches to their matches over that to their nearest neighbours."""
    import jax
    import jax.numpy as jnp

    from siv_jax.patches import border, match

    patches = jax.jit(lambda pictures: match.patches(border.framed((jnp.asarray(pictures) + 1) / 2)))
    some = np.random.default_rng(0).permutation(matches.shape[0] * matches.shape[1])[:1024]
    query = patches(rendered).reshape(len(matches.reshape(-1, 3)), -1)[some]
    keys = patches(photo)
    field, _ = jax.jit(match.exact)(query[None], keys, jnp.float32(1e6))

    def distances(field: np.ndarray) -> jax.Array:
        return jnp.mean((query - keys[tuple(field.reshape(-1, 3).T)]) ** 2, axis=-1)

    taken = distances(matches.reshape(-1, 3)[some])
    # The exact search computes distances with the rounding of large sums: a match may be nearer than what it found.
    return round(float(jnp.mean(taken) / jnp.mean(jnp.minimum(taken, distances(field)))), 3)


if __name__ == "__main__":
    main()
