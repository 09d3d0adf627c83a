"""Turns found by their words and by their meaning.

Words: the phrase as it is, or a stretch that differs from it by some letters (rapidfuzz). Meaning: the
sentence encoder's vectors, from which what all calls have in common is taken off (the mean of everyday
turns), so that unrelated turns lie near 0 and not, as the raw cosines do, near 0.8.
"""

import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import fuzz
from rapidfuzz.process import extract_iter

from wellheard.pipeline.datasets import UNKNOWN
from wellheard.pipeline.errors import NoResults, WellheardError
from wellheard.pipeline.morning.vectors import KeptVectors, key
from wellheard.pipeline.records import Speaker
from wellheard.pipeline.store import Results
from wellheard.rubrics.own_acts import EVERYDAY
from wellheard.rubrics.text import FEWEST_WORDS, plain

T = TypeVar("T")
Vectors = npt.NDArray[np.float32]

# Of a hundred letters so many must be the same, and only in phrases of some length.
ALIKE = 85.0
FEWEST_LETTERS = 4
# Unrelated turns lie within 0.25 of 0 (standard deviation 0.08).
NEAR_FROM = 0.25
LONGEST_QUOTE = 200
WORDS_BEFORE = 6
# A third of the everyday turns has the same mean, in a third of the time.
_EVERYDAY = EVERYDAY.read_text("utf-8").splitlines()[::3]
_CENTRE = key("\n".join(_EVERYDAY))
_ACCENTS = re.compile("[\u0300-\u036f]+")
_ENCODED_AT_ONCE = 16
_KEPT_EVERY_S = 5.0

PHRASE, WORDS, MEANING = "phrase", "words", "meaning"
_text = pa.string()
_columns: dict[str, pa.DataType] = {
    "found_by": _text,
    "near": pa.float64(),
    "call_id": _text,
    "agent_id": _text,
    "date": _text,
    "turn": pa.int32(),
    "at_s": pa.float64(),
    "speaker": _text,
    "quote": _text,
    "text": _text,
}
SCHEMA = pa.schema(_columns)
_TURN = ("call_id", "agent_id", "date", "turn", "speaker", "start_s", "text")


class Encoder(Protocol):
    """Texts to unit vectors, shape (n, dimension)."""

    fingerprint: str

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Encode."""
        ...


class NothingToFind(WellheardError):
    """What is searched for has no letters."""


class Found(NamedTuple):
    """The turns found (`SCHEMA`), by words first, and what else there is to say.

    `by_words` counts all that have the words, not only those given. `unread` is the number of different texts
    whose meaning was not read, because that was stopped; `kept` is false where it could not be kept.
    """

    turns: pa.Table
    by_words: int
    unread: int
    kept: bool


def search(
    results: Results,
    wanted: str,
    encoder: Encoder,
    *,
    agent_id: str | None = None,
    speaker: Speaker | None = None,
    most: int = 20,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Found:
    """At most `most` turns by words, and as many by meaning; the nearest first, then the newest.

    Meaning is read once a text, newest first, and kept beside the results. `on_progress` is told how many
    of the new texts are read. KeyboardInterrupt stops the reading; what was found till then is returned,
    and the next search goes on from there.

    Raises:
        NothingToFind: `wanted` has no letters or digits.
        NoResults: there are no such turns.
    """
    phrase = _letters(wanted)
    if not phrase:
        raise NothingToFind("There is nothing to search for", "Give words, or what was meant by them.")
    turns = _turns(results, agent_id, speaker)
    texts: list[str] = turns.to_pydict()["text"]
    letters = list(map(_letters, texts))
    by_words = _by_words(phrase, letters)
    hits = _best(by_words, most)
    rows = [_row(turns, place, PHRASE if near == 1 else WORDS, near) for place, near in hits]
    _pin(results, rows, phrase)
    meaning = _Meaning(results, encoder, on_progress)
    said = list(map(plain, texts))
    nearness, unread = meaning.nearness(plain(wanted), said, everything=not (agent_id or speaker))
    by_meaning: dict[str, tuple[int, float]] = {}  # of turns that say the same only the newest
    for place, near in enumerate(nearness):
        if near >= NEAR_FROM and place not in by_words:
            by_meaning.setdefault(said[place], (place, near))
    rows += [_row(turns, place, MEANING, near) for place, near in _best(dict(by_meaning.values()), most)]
    return Found(pa.Table.from_pylist(rows, SCHEMA), len(by_words), unread, meaning.kept)


def _turns(results: Results, agent_id: str | None, speaker: Speaker | None) -> pa.Table:
    """The turns to search, newest first."""
    wanted: pc.Expression = pc.scalar(True)
    if agent_id is not None:
        wanted &= pc.field("agent_id") == agent_id
    if speaker is not None:
        wanted &= pc.field("speaker") == speaker
    turns = results.table("turns", _TURN, wanted)
    if not turns.num_rows:
        whose = "" if agent_id is None else f" of agent {agent_id}"
        whose += f" said by the {speaker}" if speaker else ""
        raise NoResults(f"There are no turns{whose}", "`wellheard agents` shows all agents.")
    known = pc.not_equal(turns["date"], pa.scalar(UNKNOWN))
    newest = pc.sort_indices(
        turns.append_column("known", known),
        sort_keys=[
            ("known", "descending"),
            ("date", "descending"),
            ("call_id", "ascending"),
            ("turn", "ascending"),
        ],
    )
    return turns.take(newest)


def _by_words(phrase: str, letters: Sequence[str]) -> dict[int, float]:
    """How near, up to 1, the texts that have the phrase or something like it; a phrase as it is has 1."""
    found = {place: 1.0 for place, text in enumerate(letters) if f" {phrase} " in f" {text} "}
    if len(phrase) >= FEWEST_LETTERS:
        # A text much shorter than the phrase may lie in it letter for letter, and still lack most of it.
        long_enough = {
            place: text
            for place, text in enumerate(letters)
            if place not in found and len(text) * 100 >= len(phrase) * ALIKE
        }
        for _, score, place in extract_iter(
            phrase, long_enough, scorer=fuzz.partial_ratio, processor=None, score_cutoff=ALIKE
        ):
            found[place] = min(score / 100, 0.99)
    return found


def _best(found: Mapping[int, float], most: int) -> list[tuple[int, float]]:
    return sorted(found.items(), key=lambda hit: (-round(hit[1], 3), hit[0]))[:most]


def _row(turns: pa.Table, place: int, found_by: str, near: float) -> dict[str, Any]:
    (row,) = turns.slice(place, 1).to_pylist()
    quote = _shortened(row["text"].split(), 0)
    return {
        **row,
        "at_s": row["start_s"],
        "found_by": found_by,
        "near": round(float(near), 3),
        "quote": quote,
    }


def _pin(results: Results, rows: Sequence[dict[str, Any]], phrase: str) -> None:
    """Set second and quote to where the phrase itself begins; a turn may last minutes."""
    if not rows:
        return
    wanted: pc.Expression = pc.scalar(True)
    for name in ("agent_id", "date", "call_id", "turn"):
        wanted &= pc.field(name).isin(list({row[name] for row in rows}))
    words = {
        (turn["call_id"], turn["turn"]): turn["words"]
        for turn in results.table("turns", ["call_id", "turn", "words"], wanted).to_pylist()
    }
    for row in rows:
        said = words.get((row["call_id"], row["turn"])) or []
        place = _place([word["text"] for word in said], phrase)
        if place is not None:
            row["at_s"] = said[place]["start_s"]
            row["quote"] = _shortened([word["text"] for word in said], place)


def _place(words: Sequence[str], phrase: str) -> int | None:
    """Which of the words begins the phrase, or what is like it."""
    text, word_at = "", []
    for place, word in enumerate(words):
        letters = f"{_letters(word)} ".lstrip()
        word_at += [place] * len(letters)
        text += letters
    start = f" {text}".find(f" {phrase} ")
    if start < 0:
        aligned = fuzz.partial_ratio_alignment(phrase, text.strip(), score_cutoff=ALIKE)
        start = aligned.dest_start if aligned else -1
        if text[start : start + 1] == " ":
            start += 1
    return word_at[start] if 0 <= start < len(word_at) else None


def _shortened(words: Sequence[str], place: int) -> str:
    """The words, or where they are many, those from shortly before `place` on."""
    if len(" ".join(words)) <= LONGEST_QUOTE:
        return " ".join(words)
    start = max(place - WORDS_BEFORE, 0)
    quote = ("… " if start else "") + " ".join(words[start:])
    return quote if len(quote) <= LONGEST_QUOTE else f"{quote[: LONGEST_QUOTE - 1]}…"


class _Meaning:
    """How near texts are in meaning, with the vectors that are kept beside the results."""

    def __init__(self, results: Results, encoder: Encoder, on_progress: Callable[[int, int], None]) -> None:
        self._encoder = encoder
        self._on_progress = on_progress
        self._vectors = KeptVectors(results.folder / ".wellheard" / "vectors", encoder.fingerprint)

    @property
    def kept(self) -> bool:
        return self._vectors.kept

    def nearness(self, wanted: str, texts: Sequence[str], *, everything: bool) -> tuple[Iterable[float], int]:
        """How near each text is to `wanted`, and how many different texts were left unread.

        Texts of few words are hardly nearer to one thing than to another: they get 0, as unread ones do.
        With `everything`, vectors of texts that the results no longer hold are forgotten.
        """
        keys = [key(text) if len(text.split()) >= FEWEST_WORDS else b"" for text in texts]
        to_read = {k: text for k, text in zip(keys, texts, strict=True) if k}
        near: dict[bytes, float] = {}
        with closing(self._vectors), suppress(KeyboardInterrupt):
            self._on_progress(0, len(to_read))
            centre = self._centre()
            aim = _unit(self._encoder([wanted])[0] - centre)
            for known, vectors in self._vectors:
                nearness = _unit(vectors - centre) @ aim
                near.update((k, n) for k, n in zip(known, nearness.tolist(), strict=True) if k in to_read)
            new = [(k, text) for k, text in to_read.items() if k not in near]
            for known, vectors in self._read(new):
                near.update(zip(known, (_unit(vectors - centre) @ aim).tolist(), strict=True))
            if everything:
                self._vectors.forget_all_but([_CENTRE, *to_read])
        return (near.get(k, 0.0) for k in keys), len(to_read) - len(near)

    def _centre(self) -> Vectors:
        kept = self._vectors.get(_CENTRE)
        if kept is None:
            kept = np.concatenate([self._encoder(some) for some in _batches(_EVERYDAY)]).mean(axis=0)
            self._vectors.add({_CENTRE: kept})
        return kept

    def _read(self, new: Sequence[tuple[bytes, str]]) -> Iterator[tuple[list[bytes], Vectors]]:
        """Read what is new, and keep it every few seconds, and when it is stopped."""
        waiting: dict[bytes, Vectors] = {}
        kept_at = time.monotonic()
        try:
            done = 0
            for some in _batches(new):
                keys = [k for k, _ in some]
                vectors = self._encoder([text for _, text in some])
                waiting.update(zip(keys, vectors, strict=True))
                yield keys, vectors
                done += len(some)
                self._on_progress(done, len(new))
                if time.monotonic() - kept_at > _KEPT_EVERY_S:
                    self._vectors.add(waiting)
                    waiting.clear()
                    kept_at = time.monotonic()
        finally:
            self._vectors.add(waiting)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Few at a time: while the engine encodes it hears no Ctrl-C."""
    return (items[start : start + _ENCODED_AT_ONCE] for start in range(0, len(items), _ENCODED_AT_ONCE))


def _unit(vectors: Vectors) -> Vectors:
    length = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return np.asarray(vectors / length, dtype=np.float32)


def _letters(text: str) -> str:
    """Words by their letters alone: no case, no accents, no punctuation."""
    bare = plain(text)
    if not bare.isascii():
        bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", bare))
    return " ".join(bare.replace("'", "").replace("-", " ").split())
