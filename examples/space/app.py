"""The page of siv_jax.app as a hosted Space: python app.py listens on port 7860 of all addresses.

All visitors share one folder of runs and see each other's photos: make the Space private, or duplicate it for yourself.
"""

from pathlib import Path

from siv_jax import app

# Where a Space keeps files between restarts, if it was given storage.
STORAGE = Path("/data")

if __name__ == "__main__":
    app.serve(STORAGE / "runs" if STORAGE.is_dir() else Path("runs"), port=7860, hosted=True)
