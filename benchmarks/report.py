"""How long a report takes, and how much memory: over simulated nights made of the store's own rows.

    python benchmarks/report.py make FOLDER NIGHTS AGENTS CALLS [FIRST_NIGHT]
    python benchmarks/report.py measure FOLDER [--from DATE] [--to DATE] …

`make` stores so many nights of so many agents with so many calls each; more nights can be added later.
`measure` runs `wellheard report` on them and prints seconds and peak memory.
"""

import resource
import subprocess
import sys
import time
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wellheard.pipeline.agents import summarise
from wellheard.pipeline.datasets import SCHEMAS, call_row, file_schema, from_rows, mark_rows
from wellheard.pipeline.records import (
    Absence,
    Acts,
    CallClarity,
    CallInfo,
    CallResult,
    Conversation,
    Evidence,
    Heard,
    Mark,
    Scorecard,
)
from wellheard.rubrics import loader

ZONE = ZoneInfo("Europe/Warsaw")
FIRST = datetime(2025, 3, 3, tzinfo=ZONE)
TEAMS = ("Orders", "Returns", "Billing", "Technical", "Loyalty", "Night desk")
REGIONS = ("North", "South", "West")
SEGMENTS = ("gold", "silver", "new")
QUEUES = ("orders", "billing", "other")
LINES = (
    "I see, one moment please",
    "Thank you for calling Brightline",
    "That is not possible",
    "Anything else?",
)
FAILING = 0.01


class House:
    """Agents who differ, and the checklists that their calls are marked against."""

    def __init__(self, agents: int) -> None:
        random = np.random.default_rng(7)
        self.rubrics = loader.for_training()
        self.skill = random.normal(0.6, 0.6, agents)
        self.team = random.integers(len(TEAMS), size=agents)

    def call(self, agent: int, night: int, number: int, random: np.random.Generator) -> CallResult:
        """One call, as the pipeline would hand it to the store."""
        known = random.random() < 0.7
        started = FIRST + timedelta(days=night, seconds=float(random.normal(13, 3) % 24 * 3600))
        marks = []
        scores: dict[str, float | None] = {}
        for rubric in self.rubrics:
            own = [self._mark(rubric.id, rubric.version, c, agent, night, random) for c in rubric.criteria]
            marks += own
            counted = [mark for mark in own if mark.answer in ("yes", "no")]
            yes = sum(mark.weight for mark in counted if mark.answer == "yes")
            scores[rubric.id] = yes / sum(mark.weight for mark in counted) if counted else None
        length = float(random.gamma(3, 80)) + 20
        return CallResult(
            info=CallInfo(
                call_id=f"n{night:02}a{agent:04}c{number:04}",
                agent_id=f"{agent:04}",
                agent_name=f"Agent {agent}",
                team=TEAMS[self.team[agent]],
                region=REGIONS[agent % len(REGIONS)],
                customer_segment=SEGMENTS[int(random.integers(3))],
                started_at=started,
                language="en" if known else None,
                extra={"queue": QUEUES[int(random.integers(3))]},
            ),
            paths=(f"/recordings/{night:02}/{agent:04}-{number:04}.wav",),
            audio_id=f"{night}-{agent}-{number}",
            duration_s=length,
            expected_s=length + 60 if random.random() < 0.01 else None,
            channels=int(random.choice([1, 2], p=[0.4, 0.6])),
            notes=(),
            conversation=Conversation(
                language=("en", "ru")[int(random.random() < 0.3)],
                language_probability=1 - float(random.beta(1, 12)),
                duration_s=length,
                turns=(),
                role_confidence=1.0 if known else 1 - float(random.beta(1, 12)),
            ),
            clarity=CallClarity(
                grade=random.choice(["good", "fair", "poor"], p=[0.8, 0.15, 0.05]), speakers={}, turns=()
            ),
            heard=Heard(waiting_s=1.0, parties=(), silences=(), holds=(), interruptions=(), overlap_s=0.0),
            acts=Acts(turns=(), answers={}),
            scorecard=Scorecard(marks=tuple(marks), scores=scores),
        )

    def _mark(
        self,
        rubric: str,
        version: str,
        criterion: loader.Criterion,
        agent: int,
        night: int,
        random: np.random.Generator,
    ) -> Mark:
        kind = sum(map(ord, criterion.id)) % 9 / 3 - 0.8 + (1.2 if criterion.critical else 0)
        better = 0.5 if criterion.id == "recap" and night % 2 else 0.0  # every second night
        yes = 1 / (1 + np.exp(-(self.skill[agent] + kind + better)))
        answer = "na" if random.random() < 0.25 else "yes" if random.random() < yes else "no"
        confidence = 0.4 + 0.6 * float(random.beta(3, 1.5))
        at = float(random.random() * 100)
        proof = Evidence(start_s=at, end_s=at + 3, speaker="agent", quote=LINES[int(random.integers(4))])
        return Mark(
            rubric=rubric,
            rubric_version=version,
            criterion=criterion.id,
            answer="unsure" if confidence < 0.5 else answer,  # type: ignore[arg-type]
            leaning=answer,  # type: ignore[arg-type]
            confidence=confidence,
            weight=criterion.weight,
            critical=criterion.critical,
            reason="said so" if answer == "yes" else "not said where it belonged",
            evidence=(proof,) if answer == "yes" else (),
            absence=Absence(start_s=0.0, end_s=at, nearest=(proof,), intelligible=0.9)
            if answer == "no"
            else None,
            judge="trained",
            judge_version="1",
        )


def make(folder: Path, nights: int, agents: int, calls: int, first: int) -> None:
    """Store nights as the store lays them out."""
    house = House(agents)
    for night in range(first, first + nights):
        random = np.random.default_rng(night)
        date = (FIRST + timedelta(days=night)).date().isoformat()
        days = []
        for agent in range(agents):
            results = [house.call(agent, night, number, random) for number in range(calls)]
            named = {"agent_id": f"{agent:04}", "date": date}
            tables = {
                "calls": from_rows([call_row(r.info.call_id, r, ZONE) for r in results], SCHEMAS["calls"]),
                "marks": from_rows(
                    [named | row for r in results for row in mark_rows(r.info.call_id, r)], SCHEMAS["marks"]
                ),
            }
            rows = [row | named for row in tables["calls"].to_pylist()]
            tables["calls"] = from_rows(rows, SCHEMAS["calls"])
            for dataset, table in tables.items():
                write(folder / dataset / f"agent_id={agent:04}" / f"date={date}", dataset, table)
            days += summarise(tables["calls"], tables["marks"])
        write(folder / "agents" / f"date={date}", "agents", from_rows(days, SCHEMAS["agents"]))
        write(
            folder / "failures" / f"date={date}", "failures", failures(round(agents * calls * FAILING), date)
        )
        print(f"{date}: {agents} agents, {agents * calls} calls", flush=True)


def failures(number: int, date: str) -> pa.Table:
    """Calls that could not be scored."""
    reasons = defaultdict(
        lambda: ("decode", "the file holds no sound", "Check the recorder of this line."),
        {0: ("transcribe", "nobody says a word", "Leave it out.")},
    )
    rows = [
        dict(zip(("stage", "reason", "advice"), reasons[i % 3], strict=True))
        | {"call_id": "", "agent_id": "0001", "date": date, "path": f"/recordings/failed-{i:04}.wav"}
        for i in range(number)
    ]
    return from_rows(rows, SCHEMAS["failures"])


def write(folder: Path, dataset: str, table: pa.Table) -> None:
    """One partition."""
    folder.mkdir(parents=True, exist_ok=True)
    table = table.select(file_schema(dataset).names)
    options = {"compression": "zstd", "write_statistics": False, "store_schema": False}
    pq.write_table(table, folder / "part-0.parquet", **options)


def measure(folder: str, *options: str) -> None:
    """Run the command and say what it took."""
    start = time.monotonic()
    out = Path(folder) / "report.html"
    command = [
        sys.executable,
        "-m",
        "wellheard.cli",
        "report",
        "--results",
        folder,
        "--out",
        str(out),
        *options,
    ]
    subprocess.run(command, check=True)
    wall_s, used = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{wall_s:.1f} s ({used.ru_utime + used.ru_stime:.1f} s of CPU), "
        f"{used.ru_maxrss / 1024:.0f} MiB at most, {out.stat().st_size / 1e3:.0f} kB of HTML"
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", folder, nights, agents, calls, *first]:
            make(Path(folder), int(nights), int(agents), int(calls), int(first[0]) if first else 0)
        case ["measure", folder, *options]:
            measure(folder, *options)
        case _:
            print(__doc__)
