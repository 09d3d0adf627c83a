"""The stage cache: an output is made once for each thing that it depends on."""

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from wellheard.pipeline.cache import StageCache
from wellheard.pipeline.errors import CannotWrite, NoSpeech
from wellheard.pipeline.records import CallInfo, Scorecard, Span, Transcript, Word
from wellheard.pipeline.settings import Listen, Transcribe

HEARD = Transcript(
    language="ru",
    language_probability=0.98,
    channels=((Word(start_s=0.1, end_s=0.57, text="Алло.", probability=0.9),), ()),
)


class Make:
    """Makes the same each time, and counts how often."""

    def __init__(self, value: object = HEARD) -> None:
        self.value = value
        self.times = 0

    def __call__(self) -> object:
        self.times += 1
        return self.value


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_was_made_once_is_kept_for_later_runs(tmp_path: Path) -> None:
    make = Make()
    for _ in range(3):
        cache = StageCache(tmp_path / "cache")
        assert cache.get_or_make("transcribe", ["audio", Transcribe()], Transcript, make) == HEARD
    assert make.times == 1


@pytest.mark.parametrize(
    ("stage", "key_parts"),
    [
        ("diarize", ["1", Transcribe(), b"sound"]),  # another stage
        ("transcribe", ["2", Transcribe(), b"sound"]),  # another version of its code
        ("transcribe", ["1", Transcribe(beam_size=1), b"sound"]),  # another setting
        ("transcribe", ["1", Transcribe(), b"other sound"]),  # another input
        ("transcribe", ["1", Transcribe(), "sound"]),  # of another kind
        ("transcribe", ["1", Listen(), b"sound"]),
        ("transcribe", ["1", Transcribe(), b"sound", ""]),
        ("transcribe", ["1", Transcribe(), b"so", b"und"]),  # the same when joined
    ],
)
def test_whatever_the_output_depends_on_makes_another_entry(
    tmp_path: Path, stage: str, key_parts: list
) -> None:
    cache, make = StageCache(tmp_path), Make()
    cache.get_or_make("transcribe", ["1", Transcribe(), b"sound"], Transcript, make)
    cache.get_or_make(stage, key_parts, Transcript, make)
    assert make.times == 2
    assert len(entries(tmp_path)) == 2


def test_the_order_in_a_mapping_makes_no_other_entry(tmp_path: Path) -> None:
    cache, make = StageCache(tmp_path), Make()
    for extra in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}):
        cache.get_or_make("score", [CallInfo(call_id="c", extra=extra)], Transcript, make)
    assert make.times == 1


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "of another shape", "not packed"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    cache, make = StageCache(tmp_path), Make()
    cache.get_or_make("transcribe", ["audio"], Transcript, make)
    (entry,) = entries(tmp_path)
    data = bytearray(entry.read_bytes())
    match damage:
        case "cut":
            entry.write_bytes(data[: len(data) // 2])
        case "flipped":
            data[len(data) // 2] ^= 1
            entry.write_bytes(data)
        case "emptied":
            entry.write_bytes(b"")
        case "not packed":
            entry.write_text("{}")
        case "of another shape":
            other = StageCache(tmp_path / "other")
            other.get_or_make("transcribe", ["audio"], Span, Make(Span(start_s=0, end_s=1)))
            entry.write_bytes(entries(tmp_path / "other")[0].read_bytes())
    for _ in range(2):
        assert cache.get_or_make("transcribe", ["audio"], Transcript, make) == HEARD
    assert make.times == 2


def test_an_error_is_passed_on_and_nothing_is_kept(tmp_path: Path) -> None:
    def make() -> Transcript:
        raise NoSpeech("Nobody says a word", "Leave it out.")

    with pytest.raises(NoSpeech):
        StageCache(tmp_path).get_or_make("transcribe", ["audio"], Transcript, make)
    assert entries(tmp_path) == []


def test_what_is_not_worth_keeping_is_made_again_until_it_is(tmp_path: Path) -> None:
    """As when a language model did not answer, and may the next night."""
    cache = StageCache(tmp_path)
    cards = [Scorecard(marks=(), scores={}, complete=complete) for complete in (False, False, True)]
    makers = [Make(card) for card in [*cards, cards[-1]]]
    given = [
        cache.get_or_make("score", ["call"], Scorecard, make, worth_keeping=lambda card: card.complete)
        for make in makers
    ]
    assert given == [*cards, cards[-1]]
    assert [make.times for make in makers] == [1, 1, 1, 0]
    assert len(entries(tmp_path)) == 1


def test_workers_at_once_do_no_harm_to_each_other(tmp_path: Path) -> None:
    def work(_: int) -> list[Transcript]:
        cache = StageCache(tmp_path)
        return [cache.get_or_make("transcribe", [str(call)], Transcript, Make()) for call in range(20)]

    with ThreadPoolExecutor(8) as pool:
        assert all(made == [HEARD] * 20 for made in pool.map(work, range(8)))
    assert len(entries(tmp_path)) == 20


def test_entries_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        StageCache(tmp_path).get_or_make("transcribe", ["audio"], Transcript, Make())
    finally:
        os.umask(before)
    assert [stat.S_IMODE(entry.stat().st_mode) for entry in entries(tmp_path)] == [0o600]


def test_what_killed_runs_left_goes_after_a_day(tmp_path: Path) -> None:
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    for name, age_s in (("old", 90_000), ("new", 60)):
        (unfinished / name).write_text("half an entry")
        os.utime(unfinished / name, (time.time() - age_s,) * 2)
    StageCache(tmp_path)
    assert [path.name for path in entries(tmp_path)] == ["new"]


def test_a_folder_that_cannot_be_used_is_an_error_with_an_advice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CannotWrite, match="folder of yours with space left"):
        StageCache(tmp_path / "file").get_or_make("transcribe", ["audio"], Transcript, Make())


def test_what_is_given_out_at_first_is_what_is_given_out_later_to_the_letter(tmp_path: Path) -> None:
    whole_numbers = Make(Span(start_s=0, end_s=3))
    first, later = (StageCache(tmp_path).get_or_make("listen", ["x"], Span, whole_numbers) for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(later) == b'{"start_s":0.0,"end_s":3.0}'


def test_what_no_run_has_used_for_three_months_is_forgotten(tmp_path: Path) -> None:
    cache, make = StageCache(tmp_path), Make()
    for key in ("used", "unused"):
        cache.get_or_make("transcribe", [key], Transcript, make)
    for entry in entries(tmp_path):
        os.utime(entry, (0, time.time() - 100 * 86_400))

    cache.get_or_make("transcribe", ["used"], Transcript, make)
    cache.forget()

    assert make.times == 2
    assert len(entries(tmp_path)) == 1
    cache.get_or_make("transcribe", ["used"], Transcript, make)
    assert make.times == 2


def test_a_cache_that_nobody_made_has_nothing_to_forget(tmp_path: Path) -> None:
    StageCache(tmp_path / "cache").forget()
