"""The review page in a real browser: hear, seek, answer by mouse and keys, reload, and a second reviewer."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calls_to_review import call, record, recorded, store

from wellheard.pipeline.morning import reviews
from wellheard.pipeline.morning.reviews import Review

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect
PATIENCE_MS = 30_000
CALLS = 10


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not on this machine; on Debian: apt install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One call for each test; the recording of the last is gone."""
    folder = tmp_path_factory.mktemp("night")
    sound = record(folder / "call.wav")
    calls = [recorded(call(number), sound) for number in range(CALLS)]
    gone = recorded(call(CALLS), record(folder / "gone.wav", 500.0))
    (folder / "gone.wav").unlink()
    return store(folder / "results", *calls, gone).folder


@pytest.fixture(scope="module")
def addresses(results: Path, browser: Any) -> Iterator[dict[str, str]]:
    """Two reviewers' pages on the same results, each of a process of its own."""
    names = ("anna", "ben")
    command = [sys.executable, "-m", "wellheard.cli", "review", "--results", str(results), "--no-browser"]
    running = [
        subprocess.Popen([*command, "--reviewer", name], stdout=subprocess.PIPE, text=True) for name in names
    ]
    try:
        yield {
            name: process.stdout.readline().strip()  # type: ignore[union-attr]
            for name, process in zip(names, running, strict=True)
        }
    finally:
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            process.wait(60)


class Page:
    """One reviewer's browser, that notes what it should not do."""

    def __init__(self, browser: Any, address: str) -> None:
        self._home = address.split("?")[0]
        self._context = browser.new_context(viewport={"width": 1280, "height": 800})
        self.page = self._context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._listen)
        self.page.on("request", self._watch)
        self.page.goto(address)

    def _listen(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.wrong.append(message.text)

    def _watch(self, request: Any) -> None:
        if not request.url.startswith((self._home, "data:")):
            self.wrong.append(request.url)

    def open(self, number: int, how: str = "") -> "Page":
        """Open a call and wait for its sound."""
        self.page.goto(f"{self._home}call?id=c{number:05}{how}")
        expect(self.page.locator("#recording")).not_to_contain_text("being opened")
        return self

    def mark(self, title: str) -> Any:
        return self.page.locator(".mark", has=self.page.locator(f"h3:has-text('{title}')"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def current(self) -> str:
        """The title of the mark that keys act on."""
        return str(self.page.locator(".mark[aria-current] h3").inner_text()).split("  ")[0]

    def close(self) -> None:
        self._context.close()


@pytest.fixture
def anna(browser: Any, addresses: dict[str, str]) -> Iterator[Page]:
    page = Page(browser, addresses["anna"])
    yield page
    page.close()
    assert page.wrong == []


@pytest.fixture
def ben(browser: Any, addresses: dict[str, str]) -> Iterator[Page]:
    page = Page(browser, addresses["ben"])
    yield page
    page.close()
    assert page.wrong == []


def kept(results: Path, number: int) -> list[Review]:
    return [review for review in reviews.read(results) if review.call_id == f"c{number:05}"]


def test_from_the_queue_to_a_call_and_on_to_the_next(anna: Page) -> None:
    page = anna.page
    expect(page.locator("h1")).to_contain_text("Calls to review")
    first = page.locator("tbody th a").first
    name = first.inner_text()
    first.click()
    expect(page.locator("h1")).to_have_text(name)
    page.locator("a.next").click()
    expect(page.locator("h1")).not_to_have_text(name)


def test_the_call_is_heard_and_its_words_keep_step(anna: Page) -> None:
    page = anna.open(0).page
    page.locator("#play").click()
    expect(page.locator("#play")).to_contain_text("Pause")
    expect(page.locator(".turn[aria-current]")).to_contain_text("turn1")  # from second 3 on
    anna.press("Space")
    expect(page.locator("#play")).to_contain_text("Play")
    page.locator(".turn", has_text="turn3").locator(".text").click()
    expect(page.locator("#time")).to_have_text("0:09")
    expect(page.locator(".turn[aria-current]")).to_contain_text("turn3")
    anna.press("ArrowLeft")
    expect(page.locator("#time")).to_have_text("0:04")


def test_evidence_is_one_click_away_and_stops_after_its_words(anna: Page) -> None:
    page = anna.open(1).page
    anna.mark("Shows empathy").locator(".words").nth(1).click()
    expect(page.locator("#time")).to_have_text("0:12")
    expect(page.locator("#play")).to_contain_text("Pause")
    expect(page.locator("#play")).to_contain_text("Play")
    expect(page.locator("#time")).to_have_text("0:13")
    expect(page.locator("#proof rect")).to_have_count(2)
    anna.press("e")  # after the last the first one
    expect(page.locator("#time")).to_have_text("0:06")
    expect(page.locator(".turn.proof")).to_contain_text("turn2")


def test_marks_are_settled_by_keys_and_are_there_after_a_reload(anna: Page, results: Path) -> None:
    page = anna.open(2).page
    titles = page.locator(".mark h3").all_inner_texts()
    assert anna.current == titles[0]
    anna.press("Enter")  # confirms
    expect(anna.mark(titles[0]).locator(".state")).to_contain_text("You: yes (as the machine) · saved")
    anna.press("j", "n", "j", "u", "k", "y")
    expect(anna.mark(titles[1]).locator(".state")).to_contain_text("You: yes (changed) · saved")
    expect(page.locator("#settled")).to_have_text("3 of 4 settled")
    page.reload()
    expect(page.locator("#settled")).to_have_text("3 of 4 settled")
    expect(anna.mark(titles[2]).locator("[aria-pressed=true]")).to_contain_text("Cannot tell")
    assert anna.current == titles[3]  # the first that is not settled
    answers = [(review.criterion, review.answer, review.reviewer) for review in kept(results, 2)]
    assert sorted(answers[:1]) == [("empathy", "yes", "anna")]
    assert len(answers) == 4


def test_a_mark_that_is_unsure_has_nothing_to_confirm(anna: Page, results: Path) -> None:
    anna.open(3)
    anna.mark("offer").locator("h3").click()
    anna.press("Enter")
    expect(anna.mark("offer").locator(".state")).to_contain_text("no answer to confirm")
    assert kept(results, 3) == []


def test_a_mark_is_changed_by_mouse_with_a_comment(anna: Page, results: Path) -> None:
    page = anna.open(4).page
    closing = anna.mark("closing")
    closing.locator("h3").click()
    anna.press("c")
    page.keyboard.type("y, n and ? are letters here")
    expect(closing.locator(".state")).to_contain_text("saved with your answer")
    anna.press("Escape")
    closing.get_by_role("button", name="No n").click()
    expect(closing.locator(".state")).to_contain_text("You: no (changed) · saved")
    anna.press("c")
    page.keyboard.type("!")
    expect(closing.locator(".state")).to_contain_text("comment is not saved yet")
    anna.press("Escape")
    expect(closing.locator(".state")).to_contain_text("saved 20")
    page.reload()
    expect(anna.mark("closing").locator("textarea")).to_have_value("y, n and ? are letters here!")
    assert [(one.answer, one.comment[-1]) for one in kept(results, 4)] == [("no", "e"), ("no", "!")]


def test_of_two_quick_answers_the_later_one_counts(anna: Page, results: Path) -> None:
    anna.open(5)
    anna.press("y", "n", "a")
    expect(anna.page.locator(".mark[aria-current] .state")).to_contain_text("no occasion (changed) · saved")
    assert [review.answer for review in kept(results, 5)] == ["yes", "no", "na"]


def test_two_reviewers_see_each_other_and_overwrite_nothing(anna: Page, ben: Page, results: Path) -> None:
    anna.open(6)
    ben.open(6)
    anna.press("y")
    expect(anna.page.locator(".mark[aria-current] .state")).to_contain_text("saved 20")
    ben.page.evaluate("dispatchEvent(new Event('focus'))")
    expect(ben.mark("Shows empathy").locator(".said")).to_contain_text("anna: yes")
    ben.press("n")
    expect(ben.mark("Shows empathy")).to_contain_text("reviewers disagree")
    anna.page.evaluate("dispatchEvent(new Event('focus'))")
    expect(anna.mark("Shows empathy").locator(".said")).to_contain_text("ben: no")
    expect(anna.mark("Shows empathy").locator("[aria-pressed=true]")).to_contain_text("Yes")
    assert {one.reviewer: one.answer for one in kept(results, 6)} == {"anna": "yes", "ben": "no"}


def test_what_could_not_be_saved_says_so_and_can_be_tried_again(anna: Page, results: Path) -> None:
    page = anna.open(7).page
    page.route("**/reviews*", lambda route: route.abort())
    anna.press("n")
    state = page.locator(".mark[aria-current] .state")
    expect(state).to_contain_text("Not saved: wellheard review does not answer")
    assert kept(results, 7) == []
    page.unroute("**/reviews*")
    state.get_by_role("button", name="Try again").click()
    expect(state).to_contain_text("saved 20")
    assert [review.answer for review in kept(results, 7)] == ["no"]


def test_blind_the_machines_answer_comes_up_after_ones_own(anna: Page, results: Path) -> None:
    anna.open(8, "&blind=1")
    empathy = anna.mark("Shows empathy")
    expect(empathy).to_contain_text("hidden until you answer")
    anna.press("Enter")  # there is nothing to confirm
    anna.press("n")
    expect(empathy).to_contain_text("Machine: yes, 90 % sure")
    expect(empathy.locator(".state")).to_contain_text("You: no (changed), blind")
    assert [(one.answer, one.blind) for one in kept(results, 8)] == [("no", True)]


def test_without_its_recording_a_call_is_read_and_settled(anna: Page, results: Path) -> None:
    page = anna.open(CALLS).page
    expect(page.locator("#recording")).to_contain_text("The recording is no longer at")
    expect(page.locator("#recording")).to_contain_text("Marks can be settled all the same")
    anna.press("Space", "e", "y")  # what needs sound does no harm
    expect(page.locator(".mark[aria-current] .state")).to_contain_text("saved 20")
    assert len(kept(results, CALLS)) == 1


def test_all_keys_are_explained(anna: Page) -> None:
    page = anna.open(9).page
    anna.press("?")
    expect(page.locator("#help")).to_be_visible()
    anna.press("y", "Escape")  # keys act on no mark meanwhile
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator("#settled")).to_have_text("0 of 4 settled")


def test_the_page_can_be_used_on_a_narrow_screen(anna: Page) -> None:
    page = anna.open(9).page
    page.set_viewport_size({"width": 420, "height": 800})
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
