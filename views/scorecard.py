"""One call's scorecard: what was marked, how sure it is, and the words and the second that prove it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from wellheard.pipeline.errors import NoResults
from wellheard.pipeline.records import clock
from wellheard.rubrics.acts import DONE_FROM
from wellheard.views.dialogue import clarity_line
from wellheard.views.footing import footing_line
from wellheard.views.screen import counted, percent, plain

# A stretch whose words are less sure than that may hold anything.
HARDLY_INTELLIGIBLE = 0.6
EVIDENCE_SHOWN = 3
TIMES_SHOWN = 5

SOUNDS = {"dog": "a dog", "baby": "a baby", "child_laughter": "children laughing"}

# Readable without colour, and narrow enough to run down the page as a column.
SIGNS = {"yes": ("yes", "green"), "no": ("no", "bold red"), "na": ("–", "dim"), "unsure": ("?", "yellow")}


def find_call(calls: pa.Table, failures: pa.Table, wanted: str) -> str:
    """The id of the call that is meant: by its id, the beginning of its id, or the name of its recording.

    `calls` has `call_id, paths`; `failures` has `call_id, path, reason, advice`.

    Raises:
        NoResults: no call is meant, or several are, or the one that is meant was not scored.
    """
    rows = calls.to_pylist()
    names = {row["call_id"]: {PurePath(path).name for path in row["paths"]} for row in rows}
    if wanted in names:
        return wanted
    name = PurePath(wanted).name
    found = [call_id for call_id, files in names.items() if name in files]
    found = found or [call_id for call_id in names if wanted and call_id.startswith(wanted)]
    if len(found) == 1:
        return str(found[0])
    if found:
        some = ", ".join(sorted(found)[:5]) + (", …" if len(found) > 5 else "")
        raise NoResults(f"{wanted} may mean {len(found)} calls", f"Say which: {some}.")
    for row in failures.to_pylist():
        if wanted == row["call_id"] or name in {PurePath(path).name for path in row["path"].split(" | ")}:
            raise NoResults(f"{wanted} was not scored: {row['reason']}", row["advice"])
    raise NoResults(
        f"There is no call {wanted}",
        "Give its id, the beginning of its id, or the name of its recording.",
    )


def show(
    console: Console,
    call: Mapping[str, Any],
    marks: Sequence[Mapping[str, Any]],
    texts: Mapping[str, Mapping[str, str]],
) -> None:
    """The scorecard of one row of `calls` with its rows of `marks`.

    `texts` says, per rubric and criterion, what is asked, in the rubric's order; what it does not know
    appears under its id alone.
    """
    console.print(Rule(plain(f"Call {call['call_id']}", "bold"), align="left", style="dim"))
    header = Table.grid(padding=(0, 2, 0, 0))
    header.add_column(no_wrap=True)
    header.add_column(ratio=1)
    for label, value in _facts(call):
        header.add_row(plain(label, "dim"), plain(value))
    for note in call["notes"]:
        header.add_row(plain("Note", "yellow"), plain(note))
    console.print(header)
    for score in call["scores"]:
        rubric = score["rubric"]
        own = [mark for mark in marks if mark["rubric"] == rubric]
        order = list(texts.get(rubric, {}))
        own.sort(key=lambda mark, order=order: _place(order, mark["criterion"]))  # type: ignore[misc]
        console.print()
        _show_rubric(console, score, own, texts.get(rubric, {}))
    console.print()
    console.print(plain("?: too unsure to count; –: no occasion; at the right: how sure the mark is", "dim"))
    if not any(score.get("reviewed") for score in call["scores"]):
        console.print(plain(footing_line(0, 0), "dim"))


def _show_rubric(
    console: Console, score: Mapping[str, Any], marks: Sequence[Mapping[str, Any]], texts: Mapping[str, str]
) -> None:
    version = f" {marks[0]['rubric_version']}" if marks else ""
    without = sum(mark["answer"] == "na" for mark in marks)
    facts = [
        f"{score['counted']} of {len(marks)} counted",
        f"{score['unsure']} unsure",
        f"{without} without occasion",
    ]
    title = Text.assemble(
        plain(f"{score['rubric']}{version}", "bold"), "  ", plain(percent(score["score"]), "bold"), "  "
    )
    title.append_text(plain(", ".join(facts), "dim"))
    console.print(Rule(title, align="left", style="dim"))
    if score.get("reviewed"):
        console.print(plain(footing_line(score["reviewed"], score["corrected"], len(marks)), "bold"))
    width = max((len(mark["criterion"]) for mark in marks), default=0)
    for mark in marks:
        sign, style = SIGNS[mark["answer"]]
        line = Table.grid(padding=(0, 1, 0, 0), expand=True)
        line.add_column(width=4, justify="right", no_wrap=True)
        line.add_column(width=width, no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(width=5, justify="right", no_wrap=True)
        question = plain(texts.get(mark["criterion"], ""), "dim")
        if mark["critical"]:
            question = Text.assemble(plain("critical ", "bold"), question)
        if not mark.get("counts", True):
            question = Text.assemble(plain("not counted ", "bold"), question)
        line.add_row(
            plain(sign, style),
            plain(mark["criterion"], "bold"),
            question,
            plain(percent(mark["confidence"]), "dim"),
        )
        console.print(line)
        if mark.get("review"):
            console.print(Padding(plain(_review(mark), "bold"), (0, 0, 0, 5)))
        proof = Table.grid(padding=(0, 1, 0, 0))
        proof.add_column(width=4)
        proof.add_column(width=7, justify="right", no_wrap=True)
        proof.add_column(no_wrap=True)
        proof.add_column(no_wrap=True, ratio=1)
        if mark["reason"]:
            indented = Table.grid(padding=(0, 1, 0, 0))
            indented.add_column(width=4)
            indented.add_column(ratio=1)
            indented.add_row("", plain(mark["reason"]))
            console.print(indented)
        for evidence in mark["evidence"][:EVIDENCE_SHOWN]:
            proof.add_row(
                "",
                plain(clock(evidence["start_s"]), "cyan"),
                plain(evidence["speaker"]),
                _quoted(evidence["quote"], console.width - 24),
            )
        if proof.row_count:
            console.print(proof)
        if mark["absence"] and not mark["evidence"]:
            _show_absence(console, mark["absence"])
        more = len(mark["evidence"]) - EVIDENCE_SHOWN
        if more > 0:
            console.print(plain(f"{'':13}and {counted(more, 'more turn')}", "dim"))


def _review(mark: Mapping[str, Any]) -> str:
    """`corrected by Ada: the machine answered yes`."""
    who = f"{mark['review']} by {', '.join(mark['reviewers'])}"
    changed = mark["answer"] != mark["machine_answer"]
    return f"{who}: the machine answered {mark['machine_answer']}" if changed else who


def _show_absence(console: Console, absence: Mapping[str, Any]) -> None:
    """Where something belonged that was not said, and what came nearest to it there."""
    where = f"between {clock(absence['start_s'])} and {clock(absence['end_s'])}"
    nearest = " Nearest to it:" if absence["nearest"] else " Nothing like it was said there."
    doubt = ""
    if absence["intelligible"] < HARDLY_INTELLIGIBLE:
        doubt = f" That stretch was hard to understand ({percent(absence['intelligible'])} of words sure)."
    console.print(Padding(plain(f"It belonged {where}.{doubt}{nearest}", "dim"), (0, 0, 0, 5)))
    for evidence in absence["nearest"]:
        line = Text.assemble(
            plain(f"{clock(evidence['start_s']):>12} ", "cyan"), plain(f"{evidence['speaker']} ", "dim")
        )
        line.append_text(_quoted(evidence["quote"], console.width - 24))
        console.print(line)


def show_acts(
    console: Console, turns: Sequence[Mapping[str, Any]], acts: Sequence[Mapping[str, Any]]
) -> None:
    """What was done, turn by turn: the acts done, surest first, and how the turn begins."""
    done: dict[int, list[Mapping[str, Any]]] = {}
    for act in acts:
        if act["probability"] >= DONE_FROM:
            done.setdefault(act["turn"], []).append(act)
    console.print()
    console.print(Rule(plain("What was done", "bold"), align="left", style="dim"))
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(width=7, justify="right", no_wrap=True)
    table.add_column(width=8, no_wrap=True)
    table.add_column(ratio=2)
    table.add_column(ratio=2, no_wrap=True)
    for turn in sorted(turns, key=lambda turn: int(turn["turn"])):
        own = sorted(done.get(turn["turn"], ()), key=lambda act: -float(act["probability"]))
        table.add_row(
            plain(clock(turn["start_s"]), "cyan"),
            plain(turn["speaker"]),
            plain(", ".join(f"{act['act']} {percent(act['probability'])}" for act in own) or "–"),
            plain(turn["text"], "dim"),
        )
    console.print(table)


def _quoted(words: str, width: int) -> Text:
    quote = plain(words)
    quote.truncate(max(width - 2, 10), overflow="ellipsis")
    return Text(f'"{quote.plain}"')


def _facts(call: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known of the call, line by line."""
    agent = " ".join(filter(None, (call["agent_id"], call["agent_name"])))
    facts = [("Agent", ", ".join(filter(None, (agent, call["team"], call["region"]))))]
    started = call["started_local"]
    when = f"{datetime.fromisoformat(started):%Y-%m-%d %H:%M (UTC%z)}" if started else "time unknown"
    facts.append(("When", ", ".join(filter(None, (when, call["direction"])))))
    facts.append(("Recording", ", ".join(call["paths"])))
    length = f"{clock(call['duration_s'])} long"
    if call["expected_s"] is not None:
        length += f" of {clock(call['expected_s'])}: the recording is incomplete"
    facts.append(("Length", f"{length}, {_language(call)}"))
    facts.append(("Who is who", _who(call)))
    if call["clarity"]:
        of_speakers = [(own["speaker"], own["grade"], own["faults"]) for own in call["clarity"]]
        facts.append(("To be heard", clarity_line(of_speakers)))
    facts.append(("Heard", _heard(call)))
    return facts


def _language(call: Mapping[str, Any]) -> str:
    if call["language_given"]:
        return f"language {call['language']}, as given"
    return f"language {call['language']}, {percent(call['language_probability'])} sure"


def _who(call: Mapping[str, Any]) -> str:
    if call["role_confidence"] >= 1:
        text = "known from the recording"
    else:
        text = f"told apart by what they say, {percent(call['role_confidence'])} sure"
    if call["unheard"]:
        text += f"; not recorded: {', '.join(call['unheard'])}"
    return text


def _heard(call: Mapping[str, Any]) -> str:
    parts = [f"{party['speaker']} talks {percent(party['talk_share'])}" for party in call["parties"]]
    if call["silences"]:
        longest = max(call["silences"], key=lambda span: span["end_s"] - span["start_s"])
        seconds = longest["end_s"] - longest["start_s"]
        silences = counted(len(call["silences"]), "silence")
        parts.append(f"{silences} (longest {seconds:.0f} s at {clock(longest['start_s'])})")
    if call["holds"]:
        parts.append(counted(len(call["holds"]), "hold"))
    cut_in = [interruption["by"] for interruption in call["interruptions"]]
    parts += [f"{who} interrupts {cut_in.count(who)}×" for who in ("agent", "customer") if who in cut_in]
    for kind, name in SOUNDS.items():
        times = [clock(sound["start_s"]) for sound in call["sounds"] if sound["kind"] == kind]
        if times:
            more = ", …" if len(times) > TIMES_SHOWN else ""
            parts.append(f"{name} at {', '.join(times[:TIMES_SHOWN])}{more}")
    return ", ".join(parts) or "nothing of note"


def _place(order: Sequence[str], criterion: str) -> tuple[int, str]:
    return (order.index(criterion) if criterion in order else len(order)), criterion
