"""The datasets of the results: their columns, and how a scored call becomes rows."""

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa

from wellheard.pipeline.records import CallResult

UNKNOWN = "unknown"

_Type: TypeAlias = pa.DataType
_text, _real, _whole = pa.string(), pa.float64(), pa.int32()


def _list_of(**fields: _Type) -> _Type:
    return pa.list_(pa.struct(list(fields.items())))


_evidence = _list_of(start_s=_real, end_s=_real, speaker=_text, quote=_text)
_clarity: dict[str, _Type] = {
    "grade": _text,
    "faults": pa.list_(_text),
    **dict.fromkeys(
        (
            "probability",
            "log_probability",
            "no_speech",
            "compression",
            "level_db",
            "snr_db",
            "clipped",
            "bandwidth_hz",
        ),
        _real,
    ),
}

_columns: dict[str, dict[str, _Type]] = {
    "calls": {
        "call_id": _text,
        "agent_id": _text,
        "date": _text,
        "agent_name": _text,
        "team": _text,
        "region": _text,
        "customer_segment": _text,
        "company": _text,
        "direction": _text,
        "started_at": pa.timestamp("us", tz="UTC"),
        "started_local": _text,
        "agent_channel": _whole,
        "extra": pa.map_(_text, _text),
        "paths": pa.list_(_text),
        "audio_id": _text,
        "channels": _whole,
        "duration_s": _real,
        "expected_s": _real,
        "language": _text,
        "language_probability": _real,
        "language_given": _text,
        "role_confidence": _real,
        "unheard": pa.list_(_text),
        "not_understood": _list_of(start_s=_real, end_s=_real),
        "grade": _text,
        "clarity": _list_of(speaker=_text, **_clarity),
        "waiting_s": _real,
        "overlap_s": _real,
        "parties": _list_of(speaker=_text, talk_s=_real, talk_share=_real, words_per_minute=_real),
        "silences": _list_of(start_s=_real, end_s=_real),
        "holds": _list_of(start_s=_real, end_s=_real),
        "interruptions": _list_of(at_s=_real, by=_text),
        "sounds": _list_of(start_s=_real, end_s=_real, kind=_text),
        "scores": _list_of(rubric=_text, score=_real, counted=_whole, unsure=_whole),
        "answers": _list_of(criterion=_text, yes=_real, no=_real, na=_real),
        "tokens": _whole,
        "notes": pa.list_(_text),
    },
    "turns": {
        "call_id": _text,
        "agent_id": _text,
        "date": _text,
        "turn": _whole,
        "speaker": _text,
        "start_s": _real,
        "end_s": _real,
        "text": _text,
        "words": _list_of(start_s=_real, end_s=_real, text=_text, probability=_real),
        "clarity": pa.struct(list(_clarity.items())),
    },
    "marks": {
        "call_id": _text,
        "agent_id": _text,
        "date": _text,
        "rubric": _text,
        "rubric_version": _text,
        "criterion": _text,
        "answer": _text,
        "leaning": _text,
        "confidence": _real,
        "weight": _real,
        "critical": pa.bool_(),
        "reason": _text,
        "evidence": _evidence,
        "absence": pa.struct(
            [("start_s", _real), ("end_s", _real), ("nearest", _evidence), ("intelligible", _real)]
        ),
        "judge": _text,
        "judge_version": _text,
    },
    "acts": {
        "call_id": _text,
        "agent_id": _text,
        "date": _text,
        "turn": _whole,
        "act": _text,
        "probability": _real,
    },
    "agents": {
        "agent_id": _text,
        "date": _text,
        "agent_name": _text,
        "team": _text,
        "region": _text,
        "calls": _whole,
        "seconds": _real,
        "rubrics": _list_of(
            rubric=_text, score=_real, calls=_whole, scores=pa.list_(_real), counted=_whole, unsure=_whole
        ),
        "criteria": _list_of(rubric=_text, criterion=_text, yes=_whole, no=_whole, na=_whole, unsure=_whole),
    },
    "failures": {
        "call_id": _text,
        "agent_id": _text,
        "date": _text,
        "path": _text,
        "stage": _text,
        "reason": _text,
        "advice": _text,
    },
    "coaching": {
        "agent_id": _text,
        "date": _text,
        "rubric": _text,
        "criterion": _text,
        "target": _real,
    },
    "reviews": {
        "review_id": _text,
        "call_id": _text,
        "agent_id": _text,
        "date": _text,
        "rubric": _text,
        "rubric_version": _text,
        "criterion": _text,
        "machine_answer": _text,
        "machine_confidence": _real,
        "answer": _text,
        "comment": _text,
        "reviewer": _text,
        "reviewed_at": pa.timestamp("us", tz="UTC"),
        "blind": pa.bool_(),
        "sample": _text,
    },
    "samples": {
        "sample": _text,
        "date": _text,
        "place": _whole,
        "call_id": _text,
        "agent_id": _text,
        "drawn_at": pa.timestamp("us", tz="UTC"),
        "of": _whole,
    },
}
SCHEMAS: dict[str, pa.Schema] = {dataset: pa.schema(columns) for dataset, columns in _columns.items()}

PARTITIONED_BY: dict[str, tuple[str, ...]] = {
    "calls": ("agent_id", "date"),
    "turns": ("agent_id", "date"),
    "acts": ("agent_id", "date"),
    "marks": ("agent_id", "date"),
    "agents": ("date",),
    "failures": ("date",),
    "coaching": ("date",),
    "reviews": ("date",),
    "samples": ("date",),
}
SCORED = ("calls", "turns", "acts", "marks", "agents", "failures")
"""The datasets that scoring writes; the others are people's."""


def call_row(call_id: str, result: CallResult, zone: tzinfo) -> dict[str, Any]:
    """The call's row in `calls`."""
    info = result.info
    started_at = _aware(info.started_at, zone)
    marks = result.scorecard.marks
    return {
        **msgspec.structs.asdict(info),
        "call_id": call_id,
        "started_at": started_at,
        "started_local": started_at and started_at.isoformat(),
        "extra": sorted(info.extra.items()),
        "paths": result.paths,
        "audio_id": result.audio_id,
        "channels": result.channels,
        "duration_s": result.duration_s,
        "expected_s": result.expected_s,
        "language": result.conversation.language,
        "language_probability": result.conversation.language_probability,
        "language_given": info.language,
        "role_confidence": result.conversation.role_confidence,
        "unheard": result.conversation.unheard,
        "not_understood": msgspec.to_builtins(result.conversation.not_understood),
        "grade": result.clarity.grade,
        "clarity": [
            {"speaker": speaker, **msgspec.to_builtins(clarity)}
            for speaker, clarity in sorted(result.clarity.speakers.items())
        ],
        **msgspec.to_builtins(result.heard),
        "scores": [
            {
                "rubric": rubric,
                "score": score,
                "counted": sum(mark.rubric == rubric and mark.answer in ("yes", "no") for mark in marks),
                "unsure": sum(mark.rubric == rubric and mark.answer == "unsure" for mark in marks),
            }
            for rubric, score in sorted(result.scorecard.scores.items())
        ],
        "answers": [
            {"criterion": criterion, "yes": yes, "no": no, "na": na}
            for criterion, (yes, no, na) in sorted(result.acts.answers.items())
        ],
        "tokens": result.scorecard.tokens,
        "notes": result.notes,
    }


def turn_rows(call_id: str, result: CallResult) -> Iterator[dict[str, Any]]:
    """The call's rows in `turns`."""
    turns = zip(result.conversation.turns, result.clarity.turns, strict=True)
    for number, (turn, clarity) in enumerate(turns):
        yield {
            "call_id": call_id,
            "turn": number,
            "speaker": turn.speaker,
            "start_s": turn.start_s,
            "end_s": turn.end_s,
            "text": turn.text,
            "words": msgspec.to_builtins(turn.words),
            "clarity": msgspec.to_builtins(clarity),
        }


def act_rows(call_id: str, result: CallResult) -> Iterator[dict[str, Any]]:
    """The call's rows in `acts`: what each turn shows, as far as it is not next to nothing."""
    for number, acts in enumerate(result.acts.turns):
        for act, probability in acts.items():
            yield {"call_id": call_id, "turn": number, "act": act, "probability": probability}


def mark_rows(call_id: str, result: CallResult) -> Iterator[dict[str, Any]]:
    """The call's rows in `marks`."""
    for mark in result.scorecard.marks:
        yield {"call_id": call_id, **msgspec.to_builtins(mark)}


def from_rows(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """The rows as a table; keys that the schema lacks are left out."""
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except UnicodeEncodeError:  # a file name that is no UTF-8
        return pa.Table.from_pylist(_all_storable(rows), schema=schema)


def _all_storable(value: Any) -> Any:
    match value:
        case str():
            return storable(value)
        case Mapping():
            return {key: _all_storable(part) for key, part in value.items()}
        case list() | tuple():
            return [_all_storable(part) for part in value]
    return value


def storable(text: str) -> str:
    """The text, with what is no Unicode (from odd file names) written as an escape."""
    return text.encode(errors="backslashreplace").decode()


def agent_of(agent_id: str) -> str:
    """The agent under whom a call is stored."""
    return storable(agent_id) or UNKNOWN


def _aware(moment: datetime | None, zone: tzinfo) -> datetime | None:
    return moment.replace(tzinfo=zone) if moment and moment.tzinfo is None else moment


def day_of(moment: datetime | None, zone: tzinfo) -> str:
    """The day to which a call of this moment counts, in `zone`."""
    aware = _aware(moment, zone)
    return aware.astimezone(zone).date().isoformat() if aware else UNKNOWN


def file_schema(dataset: str) -> pa.Schema:
    """What is inside the files: all columns but those that the folders name."""
    return pa.schema([field for field in SCHEMAS[dataset] if field.name not in PARTITIONED_BY[dataset]])
