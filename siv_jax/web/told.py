"""Problems of the page's handlers, told on the page in one line."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator

import gradio as gr
from markupsafe import escape

from siv_jax.cli import process
from siv_jax.errors import DivergedError, UserError


def told(handler: Callable) -> Callable:
    """`handler`, or generator, whose UserErrors and errors of the system become messages on the page."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def run(*given):
            with _telling():
                yield from handler(*given)
    else:

        @functools.wraps(handler)
        def run(*given):
            with _telling():
                return handler(*given)

    return run


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except (UserError, DivergedError) as error:
        raise _message(str(error)) from None
    except OSError as error:
        raise _message(process.os_error_line(error)) from None


def _message(text: str) -> gr.Error:
    # Gradio shows it as HTML.
    return gr.Error(str(escape(text)), title="That cannot be done", duration=None, print_exception=False)
