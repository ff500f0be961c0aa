"""Writes the drawn example picture and clip as files: python examples/draw.py [FOLDER]"""

import sys
from pathlib import Path

from siv_jax.data import drawn
from siv_jax.sampling import pictures


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    folder.mkdir(parents=True, exist_ok=True)
    pictures.save_png(folder / "balloons.png", drawn.draw_balloons())
    pictures.save_mp4(folder / "balloons.mp4", drawn.draw_clip(), frames_per_second=15)
    print(f"wrote balloons.png and balloons.mp4 in {folder}")


if __name__ == "__main__":
    main()
