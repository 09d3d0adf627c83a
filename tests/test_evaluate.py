"""`wellheard evaluate`: labelled calls are judged, from text or sound, and set against people's answers."""

import json
import subprocess
import sys

import msgspec
import pytest
from conftest import ROOT

from wellheard.pipeline.records import Evidence, Mark
from wellheard.rubrics import loader
from wellheard.training import evaluate, labelled

LABELLED = ROOT / "data" / "labelled"
CRITERIA = [f"{rubric.id}.{own.id}" for rubric in loader.for_training() for own in rubric.criteria]


def wellheard(*arguments):
    command = [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def labels(tmp_path):
    """Three labelled calls, of which two have few labels."""
    lines = (LABELLED / "en_e.jsonl").read_text("utf-8").splitlines()[:3]
    calls = [json.loads(line) for line in lines]
    for call in calls[1:]:
        call["marks"] = {"script.greeting": {"answer": "yes", "evidence": [0]}}
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, calls)), "utf-8")
    return path


def test_the_figures_of_every_criterion_and_each_mark_are_given_out(labels, tmp_path):
    out = tmp_path / "out.json"
    result = wellheard("evaluate", labels, "--json", out)
    assert result.returncode == 0, result.stderr
    assert "Kappa is agreement beyond chance" in result.stdout
    found = json.loads(out.read_text("utf-8"), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert set(found["criteria"]) == set(CRITERIA)
    assert found["criteria"]["script.greeting"]["n"] == 3
    assert found["criteria"]["pec.empathy"]["n"] == 1
    assert found["mean_kappa"] is not None
    assert {"triage", "reliability", "accuracy"} <= set(found)
    assert len(found["calls"]) == 3
    (call,) = (marks for marks in found["calls"].values() if len(marks) == len(CRITERIA))
    for mark in call.values():
        assert mark["answer"] in ("yes", "no", "na", "unsure")
        assert 0 <= mark["confidence"] <= 1
        assert all(isinstance(turn, int) for turn in mark["evidence"])


def test_labels_that_cannot_be_used_are_one_line(labels, tmp_path):
    call = json.loads(labels.read_text("utf-8").splitlines()[0])
    call["marks"]["pec.charm"] = {"answer": "yes"}
    labels.write_text(json.dumps(call), "utf-8")
    result = wellheard("evaluate", labels)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "pec.charm" in line
    assert "line 1" in line


def row(call, criterion, answer, *evidence):
    """A row of the dataset `marks`."""
    rubric, _, name = criterion.partition(".")
    mark = Mark(
        rubric=rubric,
        rubric_version="1",
        criterion=name,
        answer=answer,
        leaning="no" if answer == "unsure" else answer,
        confidence=0.7,
        weight=1.0,
        critical=False,
        reason="",
        evidence=tuple(evidence),
        absence=None,
        judge="rules",
        judge_version="1",
    )
    return {"call_id": call, "agent_id": "7", "date": "2025-02-19", **msgspec.to_builtins(mark)}


def test_marks_of_recordings_are_paired_by_call_and_their_evidence_by_its_words():
    call = next(
        c for c in labelled.read(LABELLED / "en_b.jsonl", CRITERIA) if c.marks["script.greeting"].evidence
    )
    turn = call.conversation.turns[call.marks["script.greeting"].evidence[0]]
    heard = Evidence(start_s=1.0, end_s=3.0, speaker="agent", quote=turn.text.lower().replace(",", ""))
    other = Evidence(start_s=50.0, end_s=51.0, speaker="agent", quote="completely different words altogether")
    rows = [
        row(call.call_id, "script.greeting", call.marks["script.greeting"].answer, heard),
        row(call.call_id, "pec.empathy", "unsure", other),
        row("not labelled", "pec.empathy", "yes", other),
    ]
    judgements, shown = evaluate.from_sound([call], rows)
    by_criterion = {judgement.criterion: judgement for judgement in judgements}
    assert set(by_criterion) == {"script.greeting", "pec.empathy"}
    assert by_criterion["script.greeting"].found is True
    assert by_criterion["pec.empathy"].found in (False, None)
    assert (by_criterion["pec.empathy"].answer, by_criterion["pec.empathy"].leaning) == ("unsure", "no")
    assert shown[call.call_id, "script.greeting"] == [(1.0, 3.0)]
