"""The review page served on this machine until Ctrl-C."""

import os
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from starlette.types import ASGIApp

from wellheard.pipeline.errors import WellheardError
from wellheard.pipeline.morning.listening import Listening
from wellheard.views.review.guard import HOSTS, Keys


class PortTaken(WellheardError):
    """Something else listens at the port that was asked for."""


def serve(
    make: Callable[[Keys, Listening], ASGIApp],
    port: int,
    on_ready: Callable[[str], None],
    browser: bool,
) -> None:
    """Serve the page of `make` until it is interrupted; `on_ready` is told its address. Port 0: any free one.

    Raises:
        PortTaken: the port cannot be had.
    """
    with socket.socket() as listener, TemporaryDirectory(prefix="wellheard-") as folder:
        if os.name == "posix":  # or a port could not be had again right after a run has ended
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOSTS[0], port))
        except OSError as error:
            raise PortTaken(
                f"Port {port} cannot be had ({error.strerror})", "Give another, or leave out --port."
            ) from error
        keys = Keys(listener.getsockname()[1])
        app = make(keys, Listening(Path(folder)))
        server = uvicorn.Server(
            uvicorn.Config(
                app, log_level="error", access_log=False, server_header=False, timeout_graceful_shutdown=2
            )
        )
        listener.listen(128)
        on_ready(keys.address(keys.token))
        if browser:
            threading.Thread(target=_open_browser, args=(keys.address(keys.once),), daemon=True).start()
        with suppress(KeyboardInterrupt), _tidy_end(server):
            server.run(sockets=[listener])


@contextmanager
def _tidy_end(server: uvicorn.Server) -> Iterator[None]:
    """Whatever asks this process to end, it goes on to remove the recordings that were made ready."""
    asking = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, server.handle_exit) for number in asking}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_browser(address: str) -> None:
    """Open the address in a browser with windows; one inside this terminal would be in the way."""
    with suppress(webbrowser.Error):
        browser = webbrowser.get()
        if type(browser) is not webbrowser.GenericBrowser:
            browser.open(address)
