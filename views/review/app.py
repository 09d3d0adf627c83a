"""The review page as a web application: which address gives what."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from wellheard.pipeline.errors import CallError, WellheardError
from wellheard.pipeline.morning import reviewers, reviews, to_review
from wellheard.pipeline.morning.listening import TYPE, Listening
from wellheard.pipeline.morning.reviews import Review, ReviewAnswer
from wellheard.pipeline.morning.to_review import OpenCall, Queue, Waiting
from wellheard.pipeline.records import Record
from wellheard.pipeline.store import Results
from wellheard.views.review import page
from wellheard.views.review.guard import HOSTS, Guard, Keys
from wellheard.views.review.page import How, Questions
from wellheard.views.screen import visible

_STATIC = Path(__file__).with_name("static")
_LONGEST_BODY = 64_000


class Given(Record):
    """An answer as the page sends it; `seen` is the fingerprint of the mark it is about."""

    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    seen: str
    answer: ReviewAnswer
    comment: Annotated[str, msgspec.Meta(max_length=4000)] = ""


def application(
    results: Path, queue: Queue, names: Questions, me: str, keys: Keys, listening: Listening
) -> Starlette:
    """The page for one reviewer, `me`."""
    pages = _Pages(results, queue, names, me, listening)
    return Starlette(
        routes=[
            Route("/", pages.queue),
            Route("/agreement", pages.agreement),
            Route("/call", pages.call),
            Route("/marks", pages.marks),
            Route("/sound", pages.sound),
            Route("/outline", pages.outline),
            Route("/reviews", pages.review, methods=["POST"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False),
            Middleware(Guard, keys=keys),
        ],
        exception_handlers={HTTPException: pages.refused, WellheardError: pages.failed},
    )


class _Pages:
    def __init__(self, results: Path, queue: Queue, names: Questions, me: str, listening: Listening) -> None:
        self._results = results
        self._queue = queue
        self._names = names
        self._me = me
        self._listening = listening

    def queue(self, request: Request) -> Response:
        show = request.query_params.get("show", "first")
        number = request.query_params.get("page", "1")
        if show not in page.SHOWS or not number.isdecimal() or len(number) > 6:
            raise HTTPException(404, "There is no such list.")
        found = reviews.read(self._results)
        latest = reviews.latest(found)
        return HTMLResponse(page.queue(self._queue, latest, self._names, self._me, show, int(number)))

    def call(self, request: Request) -> Response:
        waiting, opened, how = self._open(request)
        return HTMLResponse(
            page.call(
                opened,
                waiting,
                self._latest(),
                self._names,
                self._me,
                how,
                self._queue.after(waiting.call_id, how.sample),
                request.state.nonce,
            )
        )

    def agreement(self, request: Request) -> Response:
        blind = "all" not in request.query_params
        found = reviewers.agreement(reviews.read(self._results), blind)
        return HTMLResponse(page.agreement(found, self._names, self._me, blind))

    def marks(self, request: Request) -> Response:
        _, opened, how = self._open(request)
        return HTMLResponse(page.marks_alone(opened, self._latest(), self._names, self._me, how))

    def sound(self, request: Request) -> Response:
        return FileResponse(self._listening.of(self._open(request)[1].call).file, media_type=TYPE)

    def outline(self, request: Request) -> Response:
        heard = self._listening.of(self._open(request)[1].call)
        return JSONResponse({"duration_s": heard.duration_s, "peaks": heard.peaks})

    async def review(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415, "A review is JSON.")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LONGEST_BODY:
                raise HTTPException(413, "The review is too long.")
        try:
            given = msgspec.json.decode(body, type=Given)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HTTPException(400, f"This is no review: {error}.") from error
        return await run_in_threadpool(self._settle, request, given)

    def _settle(self, request: Request, given: Given) -> Response:
        """Keep the answer, if it says anything new, and give back the mark as it stands then."""
        _, opened, how = self._open(request)
        mark = next((one for one in opened.marks if page.fingerprint(one) == given.seen), None)
        if mark is None:
            raise HTTPException(409, "This call was scored anew meanwhile: load the page again.")
        which = (opened.call["call_id"], mark["rubric"], mark["criterion"])
        earlier = self._latest().get(which, {}).get(self._me)
        if earlier is None or (earlier.answer, earlier.comment) != (given.answer, given.comment):
            reviews.add(
                self._results,
                Review(
                    review_id=given.id,
                    call_id=opened.call["call_id"],
                    agent_id=opened.call["agent_id"],
                    rubric=mark["rubric"],
                    rubric_version=mark["rubric_version"],
                    criterion=mark["criterion"],
                    machine_answer=mark["answer"],
                    machine_confidence=mark["confidence"] or 0.0,
                    answer=given.answer,
                    comment=given.comment,
                    reviewer=self._me,
                    reviewed_at=datetime.now().astimezone(),
                    blind=how.blind and earlier is None,
                    sample=how.sample,
                ),
            )
        return HTMLResponse(page.mark_alone(opened, mark, self._latest(), self._names, self._me, how))

    def _latest(self) -> page.Latest:
        return reviews.latest(reviews.read(self._results))

    def _open(self, request: Request) -> tuple[Waiting, OpenCall, How]:
        asked = request.query_params
        waiting = self._queue.calls.get(asked.get("id", ""))
        if waiting is None:
            raise HTTPException(
                404, "There is no such call in these days. Start with other days: --from, --to."
            )
        opened = to_review.open_call(Results(self._results), waiting)
        if opened is None:
            raise HTTPException(
                404, "This call was moved or removed meanwhile. Start wellheard review again."
            )
        sample = self._queue.sampled.get(waiting.call_id, "")
        return (
            waiting,
            opened,
            How(asked.get("blind") == "1", sample if asked.get("sample") == sample else ""),
        )

    def refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return self._say(request, error.status_code, error.detail)

    def failed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, WellheardError)
        told = str(error)
        return self._say(request, 404 if isinstance(error, CallError) else 500, told[:1].upper() + told[1:])

    def _say(self, request: Request, status: int, told: str) -> Response:
        """A page where a page was asked for, else a line for the page that asked."""
        if request.url.path in ("/", "/call", "/agreement"):
            return HTMLResponse(page.message(told, self._me), status)
        return JSONResponse({"problem": visible(told)}, status)
