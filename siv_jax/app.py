"""All of it on one page in the browser: python -m siv_jax.app --folder runs serves it on this machine alone."""

import argparse
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from siv_jax import system
from siv_jax.cli import process
from siv_jax.errors import UserError

PORT = 8765
_PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"


def main(argv: list[str]) -> None:
    """Runs the command: serves until Ctrl-C. A training that is under way then goes on."""
    given = _parse(argv)
    serve(given.folder, given.port)


def serve(folder: Path, port: int = PORT, hosted: bool = False) -> None:
    """Serves the page of the runs in `folder` until Ctrl-C or another signal of an end.

    Args:
      folder: of workdirs; made if it does not exist.
      port: to listen on; 0: any free one.
      hosted: listens on all addresses and answers under any name, as behind the proxy of a hosted page.

    Raises UserError: Gradio is not installed, JAX finds no device, or the folder or the port cannot be used.
    """
    server = load_server()
    with _memory_as_needed():
        process.prepare_jax()
    with _ended_in_order(), contextlib.suppress(KeyboardInterrupt), server.listen(port, hosted) as listener:
        made = server.make_app(folder, hosted)
        host, port = listener.getsockname()
        print(f"http://{host}:{port}/ shows {folder}; Ctrl-C ends it", flush=True)
        server.run(made, listener)


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """Inside, signals that would end the process at once do as Ctrl-C does: temporary files are removed at the end."""
    # Under nohup the end of the terminal stays ignored.
    heard = [number for number in system.stopping_signals().values() if signal.getsignal(number) is signal.SIG_DFL]
    for number in heard:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def _memory_as_needed() -> Iterator[None]:
    """JAX that finds its devices inside takes no more of a GPU's memory than it uses, unless the environment says how.

    It would take three quarters at once, from the training that the app starts. That one is to have them, so that the
    environment, which it gets, is afterwards as it was.
    """
    if _PREALLOCATE in os.environ:
        yield
        return
    os.environ[_PREALLOCATE] = "false"
    try:
        yield
    finally:
        del os.environ[_PREALLOCATE]


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
