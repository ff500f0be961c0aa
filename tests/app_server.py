"""The app as a process, with a tiny config in place of `quick`: python app_server.py FOLDER PORT CONFIG"""

import sys
from pathlib import Path

from siv_jax import app
from siv_jax.web import trainer

if __name__ == "__main__":
    folder, port, config = sys.argv[1:]
    trainer.CHOICES[trainer.QUICK] = config
    app.serve(Path(folder), int(port))
