"""Golden arrays that original implementations computed: which files there are, and what they hold."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

FOLDER = Path(os.environ.get("SIV_JAX_GOLDEN") or Path(__file__).parent.parent.parent / "shared" / "golden")
_DOUBLE = "_f64"


def names(belongs: Callable[[str, dict], bool]) -> list[str]:
    """Names of all files of a system; `belongs` takes a name and what the file's json says."""
    found = sorted(path.stem for path in FOLDER.glob("*.npz") if not path.stem.endswith(_DOUBLE))
    return [name for name in found if belongs(name, about(name))]


def about(name: str) -> dict:
    """What the json beside the arrays says; empty where there is none."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


class Arrays:
    """Arrays of one file by name.

    Attributes:
      double: those that there are in float64, from a file beside it or under f64/.
    """

    def __init__(self, name: str):
        self.arrays = dict(np.load(FOLDER / f"{name}.npz"))
        companion = FOLDER / f"{name}{_DOUBLE}.npz"
        self.double = self.under("f64/") | (dict(np.load(companion)) if companion.exists() else {})

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def under(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays below `prefix`, named by what follows it."""
        return {name[len(prefix) :]: value for name, value in self.arrays.items() if name.startswith(prefix)}

    def images(self, prefix: str) -> list[np.ndarray]:
        """prefix0, prefix1, ... as NHWC."""
        found = self.under(prefix)
        return [found[str(i)].transpose(0, 2, 3, 1) for i in range(len(found))]
