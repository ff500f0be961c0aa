"""Trains on a picture, a clip or a fleet: python -m siv_jax.main --config single_image --config.data.path photo.jpg"""

from siv_jax.cli import process, training_flags


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code: 0, or that of the signal that ended it after saving.

    A process that leaves because another one of its job is gone exits with 4.
    """
    if not argv or "--help" in argv or "-h" in argv:
        print(training_flags.USAGE, end="")
        return 0 if argv else 2
    given = training_flags.parse(argv)
    # Imported after the arguments are known to be good: a misspelt key is answered before JAX loads.
    from siv_jax import api
    from siv_jax.train import processes

    with processes.joined(given.job):
        if given.chosen:
            processes.say(given.chosen)
        stopped = api.run_training(given.config, given.workdir, given.devices, given.dry_run, processes.say)
    return process.STOPPED_BY[stopped] if stopped else 0


if __name__ == "__main__":
    process.run(main)
