"""Cross-validation by writer: no call of a writer is in training when that writer's calls are judged.

Each fold leaves out some writers' calls; what nets that never saw them make of these calls is kept in
`data/out_of_fold.parquet`. Calibration, the trained combination and every published figure rest on it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wellheard.models.act_tagger import Names, Tagged
from wellheard.training import acts
from wellheard.training.acts import TrainSettings
from wellheard.training.samples import Sample

FILE = Path(__file__).parent.parent / "data" / "out_of_fold.parquet"

# Every fold leaves out some of each language that has several writers.
FOLDS: tuple[tuple[str, ...], ...] = (
    ("en_a", "en_d", "ru_b", "ru_e", "ro_b"),
    ("en_b", "en_e", "ru_a", "pl_a"),
    ("en_c", "en_f", "ru_c", "pl_b"),
    ("en_g", "en_h", "ru_d", "ro_a"),
)
_SCHEMA = pa.schema(
    [
        ("call_id", pa.string()),
        ("acts", pa.list_(pa.list_(pa.float16()))),
        ("answers", pa.list_(pa.list_(pa.float16()))),
    ]
)


def left_out(fold: int, samples: Mapping[str, Sample]) -> dict[str, Sample]:
    """The calls that a fold leaves out."""
    return {call_id: sample for call_id, sample in samples.items() if sample.writer in FOLDS[fold]}


def run(
    fold: int,
    calls: Mapping[str, Sample],
    bank: Sequence[Sample],
    names: Names,
    settings: TrainSettings,
    threads: int,
    on_step: Callable[[int, int, float], None],
) -> dict[str, Tagged]:
    """What a net that was trained without a fold's writers makes of their calls."""
    out = left_out(fold, calls)
    rest = [sample for call_id, sample in calls.items() if call_id not in out]
    net = acts.train([*rest, *bank], names, settings, threads, on_step)
    return dict(zip(out, acts.tag(net, list(out.values()), names), strict=True))


def keep(tagged: Mapping[str, Tagged], names: Names, file: Path = FILE) -> None:
    """Write all folds' outcome."""
    rows = [
        {
            "call_id": call_id,
            "acts": np.array(call.acts, np.float16).tolist(),
            "answers": np.array(call.answers, np.float16).tolist(),
        }
        for call_id, call in sorted(tagged.items())
    ]
    about = {"acts": ",".join(names.acts), "criteria": ",".join(names.criteria)}
    table = pa.Table.from_pylist(rows, schema=_SCHEMA).replace_schema_metadata(about)
    pq.write_table(table, file, compression="zstd", compression_level=19)


def kept(file: Path = FILE) -> Iterator[tuple[str, Tagged]]:
    """What `keep` has written, call by call."""
    for row in pq.read_table(file).to_pylist():
        yield (
            row["call_id"],
            Tagged(
                acts=tuple(map(tuple, row["acts"])),
                answers=tuple((yes, no, na) for yes, no, na in row["answers"]),
            ),
        )
