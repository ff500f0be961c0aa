"""A latent browser: python -m siv_jax.demo --workdir runs/photo serves a page on this machine alone."""

import argparse
import socket

from siv_jax.cli import process
from siv_jax.errors import UserError

PORT = 8765


def main(argv: list[str]) -> None:
    """Runs the command: serves until Ctrl-C."""
    given = _parse(argv)
    try:
        from aiohttp import web
    except ImportError:
        raise UserError("the demo needs aiohttp: pip install aiohttp") from None
    from siv_jax import api
    from siv_jax.web.server import HOST, make_app

    app = make_app(api.load(given.workdir))
    try:
        listener = socket.create_server((HOST, given.port))
    except OSError as error:
        raise UserError(f"cannot listen on port {given.port}: {error.strerror}; give another --port") from None
    port = listener.getsockname()[1]
    print(f"http://{HOST}:{port}/ shows {given.workdir}; Ctrl-C ends it", flush=True)
    web.run_app(app, sock=listener, print=None, access_log=None)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = process.Parser(
        prog="python -m siv_jax.demo", description="A page to walk between samples and keep favourites."
    )
    parser.add_argument("--workdir", type=process.existing_folder, required=True, help="of the run, such as runs/photo")
    parser.add_argument(
        "--port", type=process.whole_number(0, 65535), default=PORT, help=f"to listen on ({PORT}); 0: any free one"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    process.run(main)
