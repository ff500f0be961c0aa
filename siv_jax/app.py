"""All of it on one page in the browser: python -m siv_jax.app --folder runs serves it on this machine alone."""

import argparse
from pathlib import Path

from siv_jax.cli import process
from siv_jax.errors import UserError

PORT = 8765


def main(argv: list[str]) -> None:
    """Runs the command: serves until Ctrl-C. A training that is under way then goes on."""
    given = _parse(argv)
    process.prepare_jax()
    serve(given.folder, given.port)


def serve(folder: Path, port: int = PORT, hosted: bool = False) -> None:
    """Serves the page of the runs in `folder` until Ctrl-C.

    Args:
      folder: of workdirs; made if it does not exist.
      port: to listen on; 0: any free one.
      hosted: listens on all addresses and answers under any name, as behind the proxy of a hosted page.

    Raises UserError: Gradio is not installed, or the folder or the port cannot be used.
    """
    server = load_server()
    with server.listen(port, hosted) as listener:
        made = server.make_app(folder, hosted)
        host, port = listener.getsockname()
        print(f"http://{host}:{port}/ shows {folder}; Ctrl-C ends it", flush=True)
        server.run(made, listener)


def load_server():
    """The module siv_jax.web.server. Raises UserError: Gradio is not installed."""
    try:
        from siv_jax.web import server
    except ImportError as error:
        raise UserError(f"the app needs Gradio: pip install 'siv_jax[app]' ({error})") from None
    return server


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = process.Parser(
        prog="python -m siv_jax.app",
        description="A page on this machine alone: train on a photo or a clip, watch, draw, walk, keep, download.",
    )
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="where the runs live (runs)")
    parser.add_argument(
        "--port", type=process.whole_number(0, 65535), default=PORT, help=f"to listen on ({PORT}); 0: any free one"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    process.run(main)
