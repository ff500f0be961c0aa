"""An evaluation from start to end: samples are read or drawn and measured, metrics.json and report.html written."""

from collections.abc import Callable
from pathlib import Path

from siv_jax.cli import process
from siv_jax.errors import UserError
from siv_jax.metrics import network_weights

# Samples that the report shows of each training image: of one, and of each of several.
_SHOWN_OF_ONE, _SHOWN_OF_EACH = 100, 16


def evaluate(
    workdir: object = None,
    *,
    real: str | Path | None = None,
    fake: str | Path | None = None,
    num: int | None = None,
    seed: int | None = None,
    size: tuple[int, int] | None = None,
    rendered: bool = False,
    pairing: str | None = None,
    lpips: str = "alex",
    cache: str | Path | None = None,
    out: str | Path | None = None,
    say: Callable[[str], None] = print,
) -> dict:
    """Measures samples as `python -m siv_jax.evaluate` does, with its options; returns what metrics.json holds.

        siv_jax.evaluate("runs/photo", num=100)["mean"]["lpips_diversity"]["value"]
        siv_jax.evaluate(real="photo.jpg", fake="samples_of_another_model", out="measured")

    Args:
      workdir: of a run, or a folder of workdirs; or a loaded siv_jax.Model. Not with `fake`.
      real: training picture, clip or folder of frames, or a folder of several. They are brought from their full size
        to that of the samples.
      fake: folder of samples, or a folder with one for each name in `real`.
      num: samples that are drawn from each run (100), with latents of `seed` (0). Not with `fake`.
      size: (height, width) that samples and training images are brought to.
      rendered: measures the runs' samples rendered from the photo's patches at `size`, or at the photo's size up to
        1,024 px. Not with `fake`.
      pairing: "names" or "set": whether a sample of `fake` belongs to the training image that its name begins with,
        or all belong together.
      lpips: "alex", "vgg" or "alex01", the form of LPIPS.
      cache: folder of the weights.
      out: folder for metrics.json and report.html; WORKDIR/evaluation if not given.
      say: takes each line that the user is told.

    Raises UserError: arguments or input that cannot be used, or weights that are not fetched: python -m siv_jax.weights
    fetch.
    """
    paths = (getattr(workdir, "workdir", workdir), real, fake, cache, out)
    folder, real, fake, cache, out = map(process.expanded, paths)
    _check(folder, real, fake, num, seed, size, rendered, pairing, lpips, out)
    network_weights.require([network_weights.LPIPS_FORMS[lpips], "inception"], cache)
    # Imported after the arguments are known to be good: a misspelt one is answered before JAX loads.
    from siv_jax.metrics import measure, run_cases, sample_folders
    from siv_jax.report import run_page

    if folder:
        pending = run_cases.pending_cases(folder, real, 100 if num is None else num, seed or 0, size, rendered)
    else:
        pending = sample_folders.pending_cases(real, fake, size, pairing)
    out = out or folder / run_page.EVALUATION
    out.mkdir(parents=True, exist_ok=True)
    process.prepare_jax()
    networks = measure.load_networks(lpips, cache)
    found = measure_all(pending, (folder or fake).resolve().name, networks, out, say)
    if folder:
        run_page.refresh(folder)
    return found


def _check(folder, real, fake, num, seed, size, rendered, pairing, lpips, out) -> None:
    """The arguments of `evaluate`, by the names that they have on the command line."""
    if bool(folder) == bool(fake):
        raise UserError("give either --workdir, or --real and --fake; see --help")
    if fake and not (real and out):
        raise UserError("--fake needs --real, the training image or images, and --out, a folder for the results")
    if fake and (num is not None or seed is not None):
        raise UserError("--num and --seed say how --workdir draws; --fake measures the samples that are there")
    if fake and rendered:
        raise UserError("--rendered says how --workdir draws; --fake measures the samples that are there")
    if folder and pairing:
        raise UserError("--pairing goes with --fake; --workdir knows what each sample belongs to")
    if pairing not in (None, "names", "set"):
        raise UserError(f"--pairing is {pairing!r}; it can be names or set")
    if lpips not in network_weights.LPIPS_FORMS:
        raise UserError(f"--lpips is {lpips!r}; it can be {', '.join(network_weights.LPIPS_FORMS)}")
    if num is not None:
        process.require_whole("--num", num, 1, 10_000)
    if seed is not None:
        process.require_whole("--seed", seed, 0, 2**32 - 1)
    if size is not None and len(size) != 2:
        raise UserError(f"--size is {size!r}; it must be a height and a width")
    for side in size or ():
        process.require_whole("a side of --size", side, 1, 99_999)


def measure_all(
    pending: list, name: str, networks, out: Path, say: Callable[[str], None], also: dict | None = None
) -> dict:
    """Measures each of `pending` (cases.PendingCase), one of which is in memory at a time, and writes the files.

    Args:
      name: of the model.
      networks: measure.Networks.
      also: further entries of metrics.json.
    """
    from siv_jax.metrics import cases, masks, record, table
    from siv_jax.metrics.measure import Value, measure
    from siv_jax.report import evaluation_page, html

    images, shown = [], []
    for case in (load() for load in pending):
        for note in case.notes:
            say(f"note: {note}")
        found = measure(case.fakes, case.reals, networks)
        if case.masks is not None:
            quality = masks.measure(case.fakes, case.reals, case.masks)
            found.values.update({key: Value(*value) for key, value in masks.summary(quality).items()})
            found.per_sample.update(mask_agreement=quality.agreement, mask_accuracy=quality.accuracy)
            case = case._replace(notes=(*case.notes, masks.note(quality)))
            say(masks.note(quality))
        images.append(record.of_case(case, found))
        shown.append(evaluation_page.image(case, found, _SHOWN_OF_ONE if len(pending) == 1 else _SHOWN_OF_EACH))
        if len(pending) > 1:
            say(f"{len(images)} of {len(pending)}: {case.name}, {len(case.fakes)} samples")
    whole = record.of_all(name, images, networks.form) | (also or {})
    paths = record.write(out, whole), html.write(out / evaluation_page.REPORT, evaluation_page.page(whole, shown))
    rows = [*((image["name"], image["metrics"]) for image in images), ("mean", whole["mean"])]
    shapes = sorted({cases.shown(image["size"]) for image in images})
    extent = f"{sum(image['samples'] for image in images)} samples of {', '.join(shapes)}"
    protocol = f"protocol {whole['protocol']['id']}: LPIPS {networks.form}, FID-2015 weights, {extent}"
    lines = table.listing(whole["mean"]) if len(images) == 1 else table.lines(table.rows_of(*zip(*rows, strict=True)))
    for line in ("", *lines, "", protocol, *paths):
        say(str(line))
    return whole
