"""Who may see the review page: only whoever has the address with its token."""

import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
_PARAMETER = "token"
_SAFE = ("GET", "HEAD")
_HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass
class Keys:
    """The secrets of one run.

    `token` stands in the address that the terminal shows. `once` opens the page a single time: a browser is
    started with it, as others on this machine may read its command line. `cookie` is what a browser keeps.
    """

    port: int
    token: str = field(default_factory=_secret)
    once: str = field(default_factory=_secret)
    cookie: str = field(default_factory=_secret)

    @property
    def cookie_name(self) -> str:
        """Cookies do not tell ports apart, so their names do."""
        return f"wellheard-{self.port}"

    def address(self, token: str) -> str:
        """Where the page is."""
        return f"http://{HOSTS[0]}:{self.port}/?{urlencode({_PARAMETER: token})}"

    def open(self, given: str) -> bool:
        """Whether this token opens the page."""
        if secrets.compare_digest(given.encode(), self.once.encode()):
            self.once = _secret()
            return True
        return secrets.compare_digest(given.encode(), self.token.encode())

    def is_kept(self, cookie: str) -> bool:
        """Whether this is the cookie of a browser for which the page was opened."""
        return secrets.compare_digest(cookie.encode(), self.cookie.encode())


class Guard:
    """Lets nothing through without the token or the cookie, and nothing be sent from other pages."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse or hand on a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message, nonce)
            await send(message)

        answer = self._answer(Request(scope))
        await (answer or self._app)(scope, receive, with_headers)

    def _answer(self, request: Request) -> Response | None:
        """What is said in the place of the page; None if it may be seen."""
        given = request.query_params.get(_PARAMETER)
        if given is not None and request.method in _SAFE and self._keys.open(given):
            opened = RedirectResponse("/", status_code=303)
            opened.set_cookie(
                self._keys.cookie_name, self._keys.cookie, path="/", httponly=True, samesite="strict"
            )
            return opened
        if not self._keys.is_kept(request.cookies.get(self._keys.cookie_name, "")):
            told = "This page opens with the address that `wellheard review` shows in the terminal.\n"
            return PlainTextResponse(told, status_code=403)
        if request.method not in _SAFE and request.headers.get("origin") != f"http://{request.url.netloc}":
            return PlainTextResponse("Reviews are taken from this page alone.\n", status_code=403)
        return None


def _add_headers(message: MutableMapping[str, Any], nonce: str) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in _HEADERS.items():
        headers[name] = value
    # The player brings a style sheet of its own, which needs the nonce.
    headers["content-security-policy"] = (
        f"default-src 'self'; style-src 'self' 'nonce-{nonce}'; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
