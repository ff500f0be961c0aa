"""Trains on a picture, a clip or a fleet: python -m siv_jax.main --config single_image --config.data.path photo.jpg"""

from pathlib import Path

from siv_jax.cli import process as command_line
from siv_jax.cli import training_flags as arguments


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code: 0, or 130 or 143 when a signal ended it after saving.

    A process that leaves because another one of its job is gone exits with 4.
    """
    if not argv or "--help" in argv or "-h" in argv:
        print(arguments.USAGE, end="")
        return 0 if argv else 2
    given = arguments.parse(argv)
    command_line.cache_compiled_programs()
    # Imported after the arguments are known to be good: a misspelt key is answered before JAX loads.
    from siv_jax.train import fleet
    from siv_jax.train import processes as hosts
    from siv_jax.train import single as training

    with hosts.joined(given.job):
        folder = given.workdir or training.default_folder(given.config)
        train = fleet.train if given.config.fleet.enabled else training.train
        stopped = train(given.config, Path(folder), given.devices, given.dry_run, hosts.say)
    return command_line.STOPPED_BY[stopped] if stopped else 0


if __name__ == "__main__":
    command_line.run(main)
