"""Turns cut into the pieces that are compared with wording: sentences, or stretches of speech."""

import re

# Shorter pieces say too little by themselves and are read with their neighbour.
FEWEST_WORDS = 3
MOST_WORDS = 22

_SENTENCE_END = re.compile(r"(?<=[.!?…;:])[\"'”»)]*\s+")
_CLAUSE_END = re.compile(r"(?<=,)\s+|\s+[–—]\s+")
_NOISE = re.compile(r"[^\w\s'’@-]+")


def pieces(text: str) -> list[str]:
    """Cut a turn into sentences of `FEWEST_WORDS` to `MOST_WORDS` words, in order; nothing is lost."""
    short: list[str] = []
    for sentence in _SENTENCE_END.split(text.strip()):
        short.extend(_shortened(sentence))
    joined: list[str] = []
    for piece in short:
        if joined and (len(joined[-1].split()) < FEWEST_WORDS or len(piece.split()) < FEWEST_WORDS):
            joined[-1] = f"{joined[-1]} {piece}"
        else:
            joined.append(piece)
    return joined


def _shortened(sentence: str) -> list[str]:
    """A sentence that is too long in clauses, or where it has no commas in equal stretches of words."""
    if len(sentence.split()) <= MOST_WORDS:
        return [sentence]
    parts: list[str] = []
    for clause in _CLAUSE_END.split(sentence):
        if parts and len(parts[-1].split()) + len(clause.split()) <= MOST_WORDS // 2:
            parts[-1] = f"{parts[-1]} {clause}"
        else:
            parts.append(clause)
    return [stretch for part in parts for stretch in _stretches(part.split())]


def _stretches(words: list[str]) -> list[str]:
    count = -(-len(words) // MOST_WORDS)
    size = -(-len(words) // count)
    return [" ".join(words[i : i + size]) for i in range(0, len(words), size)]


def plain(text: str) -> str:
    """Lower case, without punctuation: a recogniser's output and a careful transcript look alike."""
    return " ".join(_NOISE.sub(" ", text.lower().replace("’", "'")).split())
