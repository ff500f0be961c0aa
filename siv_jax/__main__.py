"""python -m siv_jax: the same as the console command siv-jax."""

from siv_jax.cli import commands

if __name__ == "__main__":
    commands.run()
