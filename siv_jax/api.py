"""siv_jax from Python: train, load, sample, walk, evaluate, make tables. The commands call these functions."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import ml_collections

from siv_jax import config as config_lib
from siv_jax.apply import files as applied_files
from siv_jax.apply import request as requests
from siv_jax.apply import tasks
from siv_jax.cli import command_text, config_file, process
from siv_jax.config import Config, DataConfig
from siv_jax.data import open_source
from siv_jax.data.mask_file import read_masks, with_classes
from siv_jax.errors import UserError
from siv_jax.experiments.make import make as make_table
from siv_jax.metrics.evaluation import evaluate
from siv_jax.model import Model, load
from siv_jax.models import registry
from siv_jax.patches.render import DEFAULT_FIDELITY
from siv_jax.sampling import label_files, rendering, sample_files
from siv_jax.sampling.latents_file import read_latents
from siv_jax.train import fleet, single
from siv_jax.workdir import imported, kept_input, one_file

__all__ = [
    "Model",
    "edit",
    "evaluate",
    "export_model",
    "import_weights",
    "load",
    "make_table",
    "render",
    "run_training",
    "train",
    "write_samples",
]

_FRAMES_BETWEEN = 30
_FRAMES_PER_SECOND = 25


def train(
    config: Config | ml_collections.ConfigDict | str | Path,
    workdir: str | Path | None = None,
    overrides: dict[str, object] | None = None,
    *,
    devices: int = 0,
    say: Callable[[str], None] = print,
    watch: Callable[[int], None] | None = None,
    **settings: object,
) -> Model:
    """Trains as `python -m siv_jax.main` does, or goes on with the run in `workdir`; returns the trained model.

        siv_jax.train("photo.jpg", num_steps=5000)
        siv_jax.train("quick", workdir="runs/mine", overrides={"data.path": "photo.jpg", "model.ch_g": 16})

    Args:
      config: settings: a Config, a ConfigDict or the name or path of a config file ("quick", "configs/mine.py",
        "ablations:no_dr"). Or what to train on, under the config single_image: a picture, a clip, a folder of
        frames, anything that data.path takes.
      workdir: where the run lives; runs/NAME, after the input, if not given.
      overrides: other values of settings, by dotted names: {"data.max_size": 128}.
      devices: how many to use; 0: all.
      say: takes each line that the user is told.
      watch: called after each sample grid is written, with the number of completed steps.
      settings: as overrides, for names without a dot: num_steps=5000.

    Raises:
      UserError: input, settings or a workdir that cannot be used; nothing is changed.
      DivergedError: a loss or a weight is not finite; the last good checkpoint is kept.
      KeyboardInterrupt, SystemExit: SIGINT, or another signal, stopped the run after its state was saved; the same
        call goes on from there.
    """
    typed = config_lib.with_overrides(config_file.typed(config), {**(overrides or {}), **settings})
    if typed.fleet.enabled:
        raise UserError("a fleet is trained by python -m siv_jax.main; for one model set fleet.enabled to False")
    folder = Path(workdir) if workdir is not None else single.default_folder(typed)
    stopped = run_training(typed, folder, devices, say=say, watch=watch)
    if stopped == "SIGINT":
        raise KeyboardInterrupt
    if stopped:
        raise SystemExit(process.STOPPED_BY[stopped])
    return load(folder)


def run_training(
    config: Config,
    workdir: Path | None,
    devices: int = 0,
    dry_run: bool = False,
    say: Callable[[str], None] = print,
    watch: Callable[[int], None] | None = None,
) -> str | None:
    """Trains one model, or a fleet of them.

    Returns:
      None, or the name of the signal that stopped training after its state was saved.

    Raises: see `train`.
    """
    process.require_whole("devices", devices, 0, 10**6)
    process.prepare_jax()
    folder = process.expanded(workdir) or single.default_folder(config)
    if config.fleet.enabled:
        return fleet.train(config, folder, devices, dry_run, say)
    return single.train(config, folder, devices, dry_run, say, watch)


def write_samples(
    workdir: Path,
    num: int | None = None,
    seed: int | None = None,
    out: Path | None = None,
    latents: Path | None = None,
    format: str | None = None,
    interpolate: int | None = None,
    size: str | None = None,
    fidelity: float | None = None,
    start_scale: int | None = None,
    labels: str | None = None,
    progress: Callable[[Iterable, int], Iterable] = lambda samples, count: samples,
) -> list[str]:
    """Draws samples into files as `python -m siv_jax.sample` does, with its options; returns lines for people.

    A `size` is drawn by a model that makes any size, and rendered from the samples of others. `progress` wraps the
    samples as they are made, such as in a progress bar.

    Raises:
      UserError: options that do not go together, or a workdir or latents that cannot be used.
    """
    workdir, out, latents = map(process.expanded, (workdir, out, latents))
    for name, given in (("--num", num), ("--seed", seed), ("--interpolate", interpolate)):
        if latents is not None and given is not None:
            raise UserError(f"{name} does not go with --latents, which gives the samples itself")
    for name, given in (("--num", num), ("--format", format), ("--labels", labels)):
        if interpolate is not None and given is not None:
            raise UserError(f"{name} does not go with --interpolate, which writes a GIF and an MP4")
    if labels is not None and format == "npy":
        raise UserError("--labels does not go with --format npy, which writes one array and no pictures")
    if fidelity is not None and size is None:
        raise UserError("--fidelity is of rendered samples: add --size photo")
    model = load(workdir)
    if size is not None and "size" not in model.tasks:
        for name, given in (("--interpolate", interpolate), ("--format", format), ("--start_scale", start_scale)):
            if given is not None:
                raise UserError(f"{name} does not go with --size, which renders pictures")
        fidelity = DEFAULT_FIDELITY if fidelity is None else fidelity
        options = {"latents": latents, "out": out, "labels": labels, "progress": progress}
        return render(workdir, num=num, seed=seed, size=size, fidelity=fidelity, **options)
    if fidelity is not None:
        raise UserError("--fidelity is of rendered samples, and this model draws any size itself: see siv_jax.render")
    model, seed = model.at(size, start_scale or 0), seed or 0
    out = out or workdir / f"samples_seed{seed}"
    if interpolate:
        frames = model.interpolate(interpolate, _FRAMES_BETWEEN, seed)
        return list(map(str, sample_files.write_animation(out, frames, _FRAMES_PER_SECOND)))
    record = model.record
    if labels is not None:
        label_files.require(labels, record.format, record.masks)
    if latents:
        z = read_latents(latents)
        batches, count = model.batches(z), len(z)
    else:
        count = num or 20
        batches = model.sampled(count, seed)
    made = progress(sample_files.singly(batches), count)
    sheet = sample_files.write_samples(out, made, count, record.format, format or "png", record.masks, labels)
    learnt = f"after {model.step} training steps" if record.num_steps else "of the imported weights"
    return [f"{count} samples {learnt} in {out}, all together in {sheet}"]


def render(
    workdir: Path | None = None,
    photo: Path | None = None,
    rough: str | Path | None = None,
    num: int | None = None,
    seed: int | None = None,
    size: str = "photo",
    fidelity: float = DEFAULT_FIDELITY,
    latents: Path | None = None,
    mask: Path | None = None,
    out: Path | None = None,
    labels: str | None = None,
    progress: Callable[[Iterable, int], Iterable] = lambda samples, count: samples,
) -> list[str]:
    """Renders pictures from a photo's own patches as `python -m siv_jax.render` does; returns lines for people.

    Args:
      workdir: of a run, whose samples are rendered from its photo.
      photo: without a run, the photo, or the clip, whose patches are used.
      rough: what is rendered instead of a run's samples: a picture, or "noise" for patch synthesis without a model.
      num, seed: of the samples (20, 0).
      size: "photo", "WIDTHxHEIGHT" or a factor such as "2x".
      fidelity: how strongly every part of the photo must be used; 0 hardly, 7 very strongly.
      latents: a file of the latents to render, see siv_jax.sample.
      mask: of the photo, or a folder of masks of the clip's frames: every rendered picture gets one. Without it those
        of a run that learnt from masks get theirs.
      out: folder for the files; WORKDIR/rendered_seedN if not given.
      labels: "coco" or "voc", to write pictures and masks in that form, see siv_jax.sampling.label_files.
      progress: wraps the samples as they are made, such as in a progress bar.

    Raises:
      UserError: options that do not go together, or input that cannot be used.
    """
    workdir, out, latents = map(process.expanded, (workdir, out, latents))
    _check_render(workdir, photo, rough, latents, out, {"--num": num, "--seed": seed})
    process.prepare_jax()
    num, seed, model = num or 20, seed or 0, None
    if workdir is None:
        source = open_source(DataConfig(path=str(photo)))
    else:
        model = load(workdir) if rough is None else None
        source = kept_input.load(workdir)
    masks, out = read_masks(mask, source) if mask else source.masks, out or workdir / f"rendered_seed{seed}"
    if labels is not None:
        masks = with_classes(masks) if mask else masks
        label_files.require(labels, source.format, masks and masks.format)
    classes = masks.labels if masks else None
    wanted = rendering.Rendering(rendering.parse_size(size, source.size), fidelity, classes)
    if model is not None:
        z = read_latents(latents) if latents else None
        num = num if z is None else len(z)
        made = model.rendered(num, seed, size, fidelity, z, classes)
    elif rough == "noise":
        made = rendering.of_noise(source, seed, num, wanted)
    else:
        picture = open_source(DataConfig(path=str(rough)))
        num, made = picture.num_frames, rendering.of_picture(picture, source, wanted)
    made, mask_format = progress(made, num), masks.format if masks else None
    sheet = sample_files.write_samples(out, made, num, source.format, mask_format=mask_format, labels=labels)
    height, width = wanted.size
    return [f"{num} pictures of {width}x{height} in {out}, all together in {sheet}"]


def _check_render(
    workdir: Path | None,
    photo: Path | None,
    rough: str | Path | None,
    latents: Path | None,
    out: Path | None,
    numbers: dict[str, int | None],
) -> None:
    """Raises UserError: options of `render` that do not go together; `numbers` are those that latents replace."""
    if (workdir is None) == (photo is None):
        raise UserError("give either --workdir, a run whose samples are rendered, or --photo, a picture without a run")
    if photo is not None and (rough is None or out is None):
        raise UserError("--photo needs --from, a rough picture or noise, and --out, a folder for the files")
    for name, given in numbers.items():
        if given is not None and (latents is not None or rough not in (None, "noise")):
            raise UserError(f"{name} does not go with --latents or --from IMAGE, which say what is rendered")
    if latents is not None and rough is not None:
        raise UserError("--latents does not go with --from")


def edit(
    workdir: Path,
    task: str,
    image: Path | None = None,
    mask: Path | None = None,
    out: Path | None = None,
    progress: Callable[[Iterable, int], Iterable] = lambda made, count: made,
    **options: object,
) -> list[str]:
    """Edits, repairs, enlarges or animates as `python -m siv_jax.edit` does; returns lines for people.

    Args:
      task, options: see Model.edit.
      image, mask: files.
      out: folder for the files; WORKDIR/TASK if not given.
      progress: wraps the pictures as they are made, such as in a progress bar.

    Raises:
      UserError: options that do not go together or with the run's model, or input that cannot be used.
    """
    requests.check(task, {"image": image, "mask": mask, **options})
    model = load(workdir)
    request = requests.Request(task, tasks.read_image(model, image), tasks.read_mask(mask), **options)
    made = tasks.made(model, request)
    folder = process.expanded(out) or model.workdir / task
    return applied_files.write(folder, made, task, model.record.format, progress)


def export_model(workdir: Path, out: Path) -> str:
    """Writes the model of a run as one .safetensors file, see siv_jax.export; a line for people.

    Raises:
      UserError: another ending, no run with a finished checkpoint, or no device for JAX_PLATFORMS.
    """
    workdir, out = map(process.expanded, (workdir, out))
    process.prepare_jax()
    steps = one_file.write(workdir, out)
    return f"{out} holds the model of {workdir} after {steps:,} steps, {out.stat().st_size / 1e6:.1f} MB"


def import_weights(
    weights: Path | Mapping[str, Path],
    workdir: Path,
    model: str | None = None,
    image: Path | None = None,
    settings: dict[str, object] | None = None,
) -> str:
    """Makes a workdir of weights of an original implementation, or of a file of `export_model`; a line for people.

    Args:
      weights: a .pth or .npz file; or several, by what comes before the names of their tensors; or a .safetensors.
      model: the family; the usual one for None.
      image: the picture that was learnt, which some families need.
      settings: of the original's training, by dotted names: {"data.max_size": 300}.

    Raises:
      UserError: the file holds no such weights, they do not fit the picture and the settings, or `workdir` is not
        empty or cannot be written.
    """
    workdir, image = map(process.expanded, (workdir, image))
    process.prepare_jax()
    given = weights if isinstance(weights, Mapping) else {"": weights}
    files = {name: process.expanded(path) for name, path in given.items()}
    exported = [path for path in files.values() if path.suffix.lower() == one_file.SUFFIX]
    if exported:
        if any(files) or model or settings:
            raise UserError(f"{exported[0]} holds a whole model: it goes with --image alone")
        plan = imported.import_model(exported[0], workdir, image)
    else:
        plan = imported.import_weights(files, workdir, model or registry.DEFAULT, image, settings)
    following = command_text.shell("siv_jax.sample", "--workdir", workdir, "--num", 20)
    return f"imported a generator of {plan.width}x{plan.height} pictures as {workdir}; next: {following}"
