"""The command line: `wellheard` and `python cli.py` are this Typer app.

Commands are thin: they read settings and results, call the pipeline, and hand what comes back to a view.
What is heavy to import is imported by the command that needs it, so that `--help` is there at once.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wellheard.pipeline.errors import BadSettings, CallError, ExitCode, NoInput, WellheardError
from wellheard.views.screen import screen, visible
from wellheard.views.tables import Format, give
from wellheard.views.texts import Language

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from wellheard.models.sentences import SentenceEncoder
    from wellheard.pipeline.batch import Outcome
    from wellheard.pipeline.ingest import Found
    from wellheard.pipeline.morning.corrected import Corrected
    from wellheard.pipeline.settings import Settings
    from wellheard.rubrics.language_model import LanguageModelJudge
    from wellheard.rubrics.loader import Rubric
    from wellheard.training.agreement import Judgement
    from wellheard.training.labelled import LabelledCall
    from wellheard.training.rehearse import LabelledPair
    from wellheard.views.progress import Tally

app = typer.Typer(
    name="wellheard",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="The models: get them, list them, check them.", no_args_is_help=True)
rubric_app = typer.Typer(help="The checklists: show them, check them.", no_args_is_help=True)
bench_app = typer.Typer(help="Measure: how well calls are heard, how fast.", no_args_is_help=True)
app.add_typer(models_app, name="models", rich_help_panel=None)
app.add_typer(rubric_app, name="rubric", rich_help_panel=None)
app.add_typer(bench_app, name="bench", rich_help_panel=None)


FirstDay = Annotated[
    datetime | None,
    typer.Option(
        "--from", metavar="DATE", formats=["%Y-%m-%d"], help="First day.  [default: the last stored]"
    ),
]
LastDay = Annotated[
    datetime | None,
    typer.Option("--to", metavar="DATE", formats=["%Y-%m-%d"], help="Last day.  [default: the last stored]"),
]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="A settings file (TOML).")
]
VocabularyFile = Annotated[
    Path | None,
    typer.Option("--vocabulary", metavar="FILE", help="Names and phrases of your calls, one a line."),
]
MostSpeakers = Annotated[
    int | None,
    typer.Option(
        "--max-speakers", min=1, max=10, help="Voices told apart on one channel at most.  [default: 4]"
    ),
]
ResultsFolder = Annotated[Path, typer.Option("--results", metavar="DIR", help="The results folder.")]
RowFormat = Annotated[Format, typer.Option("--format", help="How to give the rows out.")]
RowFile = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write to this file, whole or not at all.")
]


def main() -> None:
    """Run the command line; every expected error is one line, and decides the exit code."""
    os.umask(0o077)
    _have_streams()
    try:
        app()
    except WellheardError as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        sys.exit(ExitCode.SOME_CALLS_FAILED if isinstance(error, CallError) else error.exit_code)


def _have_streams() -> None:
    """Under cron stdin may be closed, and the locale may know ASCII alone: neither may stop a night."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - open until the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="readable")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"wellheard {version('wellheard')}")
        raise typer.Exit


@app.callback()
def wellheard(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Score recorded phone calls against checklists, offline, with the words that prove each mark.

    \b
    First:     wellheard models pull
    Nightly:   wellheard score /recordings --results /results
    Mornings:  wellheard report --results /results --out report.html
               wellheard agents --results /results
               wellheard review --results /results
               wellheard weak-spots --agent 007 --results /results
    Evidence:  wellheard call CALL_ID --results /results
    """


@app.command()
def score(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Folders, globs, recordings, manifests.")
    ],
    results: ResultsFolder = Path("results"),
    settings: SettingsFile = None,
    vocabulary: VocabularyFile = None,
    max_speakers: MostSpeakers = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Calls scored at once.  [default: what fits]")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads for each of them.  [default: what fits]")
    ] = None,
) -> None:
    """Score calls and store the results as Parquet.

    INPUT is a folder, a glob, a recording, or a manifest (CSV or Parquet) that lists calls. Calls that
    were scored before are known again by their sound: their rows are replaced, never doubled. A run that
    was stopped goes on where it was when it is started again.

    \b
    wellheard score /recordings/2025-02-19 --results /results
    wellheard score "/recordings/*.wav" export.csv --results /results --settings wellheard.toml

    Exit code: 0 all calls were scored, 3 some were not, 2 wrong usage, 1 a crash.
    """
    from wellheard.pipeline import ingest
    from wellheard.pipeline import settings as settings_file
    from wellheard.pipeline.agents import SUMMED_UP
    from wellheard.pipeline.store import Results
    from wellheard.pipeline.vocabulary import read as read_vocabulary
    from wellheard.rubrics import house as house_judge
    from wellheard.rubrics import language_model, loader
    from wellheard.views import night

    console = screen()
    house = settings_file.with_vocabulary(settings_file.load(settings), vocabulary)
    house = settings_file.with_max_speakers(house, max_speakers)
    language_model.check(house.language_model, [loader.load(name) for name in house.score.rubrics])
    house_judge.read(house.score.house)  # one that does not fit is refused before any work
    night.show_vocabulary(console, read_vocabulary(house.transcribe.vocabulary))
    found = ingest.find(inputs, house.ingest, house.house)
    outcome, tally = _run(console, found, results, house, jobs, threads)
    failures = [*found.failures, *tally.failures]
    agents_of_run = {source.info.agent_id for source in found.sources}
    of_run = night.of_calls(tally.call_ids, agents_of_run)
    calls = Results(results).table("calls", SUMMED_UP, of_run)
    night.show_outcome(console, outcome, calls, failures, results)
    if failures or outcome.interrupted:
        raise typer.Exit(ExitCode.SOME_CALLS_FAILED)


def _run(
    console: "Console",
    found: "Found",
    results: Path,
    house: "Settings",
    jobs: int | None,
    threads: int | None,
) -> "tuple[Outcome, Tally]":
    """Score what was found into a results folder, with progress."""
    from functools import partial

    from wellheard.pipeline import batch, machine
    from wellheard.pipeline.cache import StageCache
    from wellheard.pipeline.call import CallScorer
    from wellheard.pipeline.store import Results
    from wellheard.views import night
    from wellheard.views.progress import Tally, progress

    jobs, threads = machine.workers(len(found.sources), jobs, threads)
    night.show_found(console, found, jobs, threads)
    tally = Tally()
    with Results(results).writer(house.zone, lambda line: night.say(console, line)) as writer:
        for failure in found.failures:
            writer.fail(failure)
        cache = results / ".wellheard" / "cache"
        make_scorer = partial(CallScorer, house, cache, threads)
        with progress(console, tally) as on_event:
            outcome = batch.run(found.sources, make_scorer, writer, jobs, on_event)
        StageCache(cache).forget()
        return outcome, tally


@app.command()
def transcribe(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording.", exists=True, dir_okay=False)],
    json: Annotated[Path | None, typer.Option(metavar="OUT", help="Write turns and words as JSON.")] = None,
    rttm: Annotated[Path | None, typer.Option(metavar="OUT", help="Write who speaks when as RTTM.")] = None,
    srt: Annotated[Path | None, typer.Option(metavar="OUT", help="Write subtitles as SRT.")] = None,
    language: Annotated[str | None, typer.Option(help="Its language (en, ru, ...), if known.")] = None,
    settings: SettingsFile = None,
    vocabulary: VocabularyFile = None,
    max_speakers: MostSpeakers = None,
) -> None:
    """Transcribe one recording, as a dialogue to read.

    \b
    wellheard transcribe call.wav
    wellheard transcribe call.mp3 --language pl --json call.json --srt call.srt
    """
    from tempfile import TemporaryDirectory

    import msgspec

    from wellheard.pipeline import ingest, machine
    from wellheard.pipeline import settings as settings_file
    from wellheard.pipeline.call import CallScorer
    from wellheard.views import dialogue
    from wellheard.views.files import write_text

    house = settings_file.with_vocabulary(settings_file.load(settings), vocabulary)
    house = settings_file.with_max_speakers(house, max_speakers)
    found = ingest.find([str(file)], house.ingest, house.house)
    for failure in found.failures:
        raise CallError(f"{failure.path}: {failure.reason}", failure.advice)
    if not found.sources:
        raise NoInput(f"{file} is no recording", "Give one recording; `wellheard score` takes folders.")
    source = found.sources[0]
    if language:
        source = msgspec.structs.replace(source, info=msgspec.structs.replace(source.info, language=language))
    with TemporaryDirectory(prefix="wellheard-") as cache:
        scorer = CallScorer(house, Path(cache), machine.workers(1, 1, None)[1])
        info, _, conversation, clarity = scorer.converse(source, lambda _: None)
    if json:
        write_text(json, dialogue.as_json(conversation))
    if rttm:
        write_text(rttm, dialogue.as_rttm(conversation, file.stem))
    if srt:
        write_text(srt, dialogue.as_srt(conversation))
    dialogue.show(screen(), info, conversation, clarity)


@app.command()
def call(
    call_id: Annotated[
        str,
        typer.Argument(metavar="CALL_ID", help="Its id, the beginning of its id, or its recording's name."),
    ],
    results: ResultsFolder = Path("results"),
    settings: SettingsFile = None,
) -> None:
    """Show one call's scorecard, what proves each mark, and what was done in each turn.

    \b
    wellheard call 3f9a --results /results
    wellheard call AGENT_ChrisL_DT_2025-02-19T06-01-22.wav --results /results
    """
    import pyarrow.compute as pc

    from wellheard.rubrics import loader
    from wellheard.views import scorecard

    stored = _as_it_counts(results, settings)
    wanted = scorecard.find_call(
        stored.table("calls", ["call_id", "paths"]),
        stored.table("failures", ["call_id", "path", "reason", "advice"]),
        call_id,
    )
    only = pc.field("call_id") == wanted
    marks = stored.table("marks", filter=only).to_pylist()
    console = screen()
    scorecard.show(
        console,
        stored.table("calls", filter=only).to_pylist()[0],
        marks,
        loader.texts({(mark["rubric"], mark["rubric_version"]) for mark in marks}),
    )
    turns = stored.table("turns", filter=only).to_pylist()
    scorecard.show_acts(console, turns, stored.table("acts", filter=only).to_pylist())


@app.command()
def agents(
    results: ResultsFolder = Path("results"),
    settings: SettingsFile = None,
    form: RowFormat = Format.TABLE,
    out: RowFile = None,
) -> None:
    """Show the score of every agent, one line each.

    A score is the mean over the calls that have one, with its 95 % interval. Unsure is the share of marks
    that were too unsure to count, corrected the number of marks whose answer people have changed.

    \b
    wellheard agents --results /results
    wellheard agents --results /results --format csv --out agents.csv
    """
    from wellheard.views import agents as view

    stored = _as_it_counts(results, settings)
    rows = view.agents(stored.table("agents", view.COLUMNS))

    def show(console: "Console") -> None:
        view.show(console, rows)
        view.show_footing(console, rows, stored.untrusted)

    give(rows, form, out, show)


def _as_it_counts(results: Path, settings: Path | None) -> "Corrected":
    """The results with people's reviews, without criteria that are below the threshold of the settings."""
    from wellheard.pipeline import settings as settings_file
    from wellheard.pipeline.morning import audit, trust
    from wellheard.pipeline.morning.corrected import Corrected
    from wellheard.pipeline.store import Results
    from wellheard.rubrics import house as house_judge

    house = settings_file.load(settings)
    least = house.trust.least_agreement
    if least is None:
        return Corrected(results)
    samples = audit.samples(results)
    found = trust.trust(Results(results), samples, least, house_judge.read(house.score.house))
    return Corrected(results, found.untrusted)


@app.command()
def report(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The HTML file, written whole or not at all.")
    ],
    results: ResultsFolder = Path("results"),
    first: FirstDay = None,
    last: LastDay = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="COLUMN", help="Also by this column of the manifest; may be repeated."),
    ] = None,
    language: Annotated[Language, typer.Option(help="The language of the report.")] = Language.EN,
    settings: SettingsFile = None,
) -> None:
    """Write a report on a night or a longer period: one HTML file, to read and to print.

    Without days it is about the last day that is stored; with --from alone, about all since. It says what
    came in and what failed, which calls to hear first and why, how sure the marks are, the scores by
    criterion, agent, team and more, and what changed since the period before by more than chance.

    \b
    wellheard report --results /results --out report.html
    wellheard report --results /results --from 2025-02-10 --to 2025-02-16 --by queue --out week.html
    """
    from wellheard.pipeline.morning import hear_first, period
    from wellheard.pipeline.morning.overview import overview
    from wellheard.views.files import write_text
    from wellheard.views.report import page

    stored = _as_it_counts(results, settings)
    days = period.stored_days(stored)
    wanted = period.choose(days, first and first.date(), last and last.date())
    material = period.read(stored, wanted, days, by or (), hear_first.where_to_look)
    figures = overview(material)
    picked = hear_first.pick(material)
    proofs = period.proofs(stored, material, hear_first.named(material, picked))
    html = page.report(
        material,
        figures,
        picked,
        hear_first.to_hear(material, picked, proofs),
        _titles(material.marks, language),
        language,
        results,
        datetime.now().astimezone(),
    )
    write_text(out, html)
    page.show(screen(), material, figures, out)


@app.command()
def review(
    results: ResultsFolder = Path("results"),
    first: FirstDay = None,
    last: LastDay = None,
    reviewer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who answers.  [default: your user name]")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Draw N calls at random first, to be heard blind.")
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Port of this machine.  [default: a free one]",
            show_default=False,
        ),
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Open a page in the browser to hear calls and settle their marks. Ctrl-C ends it.

    The page is for this machine alone, and opens only with the address that is shown. Answers are kept at
    once, in the dataset `reviews`, with who gave them and when; they never change the marks themselves.
    Several people may review at once, each with a page of their own.

    \b
    wellheard review --results /results
    wellheard review --results /results --sample 20 --reviewer anna
    """
    import getpass
    from contextlib import suppress
    from functools import partial

    from wellheard.pipeline.morning import audit, period, to_review
    from wellheard.pipeline.morning.corrected import Corrected
    from wellheard.pipeline.store import Results
    from wellheard.rubrics import loader
    from wellheard.views.review import app as page
    from wellheard.views.review import server
    from wellheard.views.review.page import Questions

    with suppress(OSError, KeyError):  # this user may have no name
        reviewer = reviewer or getpass.getuser()
    me = (reviewer or "").strip()
    if not 0 < len(me) <= 60:
        raise typer.BadParameter("A reviewer's name has 1 to 60 characters.", param_hint="--reviewer")
    days = first and first.date(), last and last.date()
    if sample is not None:
        wanted = period.choose(period.stored_days(Results(results)), *days)
        audit.draw(results, sample, datetime.now().astimezone(), wanted.first, wanted.last)
    with screen(sys.stderr).status("Reading …"):
        queue = to_review.read(Corrected(results), *days, reversed(audit.samples(results)))
    server.serve(
        partial(page.application, results, queue, Questions(loader.for_training()), me),
        port,
        lambda address: print(f"{address}\nCtrl-C ends it.", flush=True),
        browser,
    )


def _titles(marks: "pa.Table", language: Language) -> "dict[str, tuple[str, dict[str, str]]]":
    """What the built-in checklists that gave these marks, and their criteria, are called in a language."""
    from wellheard.rubrics import loader

    used = {
        (row["rubric"], row["rubric_version"])
        for row in marks.group_by(["rubric", "rubric_version"]).aggregate([]).to_pylist()
    }

    def title(of: Mapping[str, str]) -> str:
        return of.get(language, of["en"])

    return {
        rubric.id: (title(rubric.title), {one.id: title(one.title) for one in rubric.criteria})
        for rubric in loader.for_training()
        if (rubric.id, rubric.version) in used
    }


SinceDay = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        metavar="DATE",
        formats=["%Y-%m-%d"],
        help="Look at calls from this day on.  [default: the last 30 days with calls]",
    ),
]
AgentId = Annotated[str, typer.Option("--agent", metavar="ID", help="The agent's id.")]


@app.command()
def weak_spots(
    agent: AgentId,
    results: ResultsFolder = Path("results"),
    since: SinceDay = None,
    settings: SettingsFile = None,
    form: RowFormat = Format.TABLE,
    out: RowFile = None,
) -> None:
    """Show where one agent differs from the team, and what has changed since before.

    The team is the agent's own, where the manifest names it, else all other agents. A weak spot or a strength
    is named only where there are enough calls to tell it from chance; each comes with calls that show it.

    \b
    wellheard weak-spots --agent 007 --results /results
    """
    from wellheard.pipeline.morning import examples, standing
    from wellheard.pipeline.morning.corrected import footing
    from wellheard.views import weak_spots as view

    stored = _as_it_counts(results, settings)
    team = standing.read(stored, agent)
    period = standing.period(team, agent, _day(since))
    own = examples.marks(stored, [agent], period.since)
    rows = view.weak_spots(standing.standing(team, agent, period), own)
    about = view.heading(team, agent, period, footing(stored, agent, period.since))
    give(rows, form, out, lambda console: view.show(console, about, rows))


@app.command()
def coach(
    agent: AgentId,
    results: ResultsFolder = Path("results"),
    since: SinceDay = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the pack as a page with sound.")
    ] = None,
    language: Annotated[Language, typer.Option(help="The language of the page.")] = Language.EN,
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="CRITERION", help="Keep that this was agreed upon today.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="RATE", help="The share of calls to reach: 70% or 0.7.")
    ] = None,
    settings: SettingsFile = None,
    form: RowFormat = Format.TABLE,
    out: RowFile = None,
) -> None:
    """Put together what a session with one agent needs: what to work on, what goes well, calls to hear.

    Each weak spot comes with two or three calls that show it and one where it was done well. Goals that were
    kept with --plan are followed: whether it moved, by more than chance, and whether the target is reached.
    The page holds the words and the sound of other people: keep it as you keep recordings.

    \b
    wellheard coach --agent 007 --results /results --html 007.html
    wellheard coach --agent 007 --results /results --plan empathy --target 70%
    """
    from wellheard.pipeline.morning import coach as coaching_pack
    from wellheard.pipeline.morning import coaching, standing
    from wellheard.views.coach import page, terminal
    from wellheard.views.files import write_text
    from wellheard.views.steps import steps

    if (plan is None) != (target is None):
        raise typer.BadParameter("A goal is a criterion and a rate: give --plan and --target, or neither.")
    stored = _as_it_counts(results, settings)
    team = standing.read(stored, agent)
    if plan is not None and target is not None:
        goal = coaching.goal(datetime.now().astimezone().date(), plan, target, team.criteria)
        coaching.agree(stored, agent, goal)
    pack = coaching_pack.pack(stored, team, agent, _day(since))
    if html is not None:
        with steps(screen(sys.stderr)) as show:
            sound = coaching_pack.cut_clips(pack, lambda done, total: show("recordings", done, total))
        made = datetime.now().astimezone()
        write_text(html, page.page(pack, sound, _criterion_titles(), language, results, made))
    rows = terminal.rows(pack)
    give(rows, form, out, lambda console: terminal.show(console, pack))


def _day(moment: datetime | None) -> str | None:
    return None if moment is None else moment.date().isoformat()


def _criterion_titles() -> "dict[tuple[str, str], dict[str, str]]":
    """What the criteria of the built-in checklists are called."""
    from wellheard.rubrics import loader

    return {
        (rubric.id, criterion.id): criterion.title
        for rubric in loader.for_training()
        for criterion in rubric.criteria
    }


@app.command()
def trust(
    results: ResultsFolder = Path("results"),
    sample: Annotated[
        str | None, typer.Option(metavar="ID", help="This audit sample alone.  [default: all]")
    ] = None,
    settings: SettingsFile = None,
    form: RowFormat = Format.TABLE,
    out: RowFile = None,
) -> None:
    """Show how far the marks can be trusted on this house's own calls, criterion by criterion.

    It rests on calls drawn at random and heard blind: `wellheard review --sample 30` draws them and opens the
    page to hear them. Where [trust] of the settings has a least_agreement, criteria below it are shown, and
    counted in no score.

    \b
    wellheard trust --results /results
    wellheard trust --results /results --settings wellheard.toml --format csv --out trust.csv
    """
    from wellheard.pipeline import settings as settings_file
    from wellheard.pipeline.morning import audit
    from wellheard.pipeline.morning import trust as trusting
    from wellheard.pipeline.store import Results
    from wellheard.rubrics import house as house_judge
    from wellheard.views import trust as view

    house = settings_file.load(settings)
    least = house.trust.least_agreement
    samples = trusting.chosen(audit.samples(results), sample)
    found = trusting.trust(Results(results), samples, least, house_judge.read(house.score.house))
    give(view.criteria(found), form, out, lambda console: view.show(console, found, least))


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT, SHOW, DESCRIBE or SUMMARIZE.")],
    results: ResultsFolder = Path("results"),
    form: RowFormat = Format.TABLE,
    out: RowFile = None,
) -> None:
    """Ask the results anything, in SQL. Reads the results and nothing else, and changes nothing.

    The datasets are tables: calls, turns, acts, marks, agents, failures. The SQL is DuckDB's.

    \b
    wellheard query "SHOW TABLES" --results /results
    wellheard query "SELECT agent_id, count(*) FROM marks WHERE answer = 'no' GROUP BY ALL" --results /results
    """
    from wellheard.pipeline.morning.query import answer
    from wellheard.pipeline.store import Results
    from wellheard.views import query as view

    with screen(sys.stderr).status("Asking …"):
        found = answer(Results(results), sql)
    for name in found.missing:
        print(visible(f"Note: there are no {name} in {results}."), file=sys.stderr)
    give(found.rows, form, out, lambda console: view.show(console, found.rows))


@app.command()
def search(
    wanted: Annotated[str, typer.Argument(metavar="WORDS", help="Words, or what was meant by them.")],
    results: ResultsFolder = Path("results"),
    agent: Annotated[str | None, typer.Option("--agent", metavar="ID", help="Of this agent's calls.")] = None,
    speaker: Annotated[Literal["agent", "customer"] | None, typer.Option(help="Said by whom.")] = None,
    most: Annotated[int, typer.Option(min=1, metavar="N", help="So many by words, and by meaning.")] = 20,
    form: RowFormat = Format.TABLE,
    out: RowFile = None,
) -> None:
    """Find turns by their words and by their meaning, with the call and the second.

    The meaning of each text is read once and kept beside the results; of a large night that takes minutes,
    which are shown. Ctrl-C stops it and shows what is found by then (exit code 3).

    \b
    wellheard search "third time I call" --results /results
    wellheard search "wants to cancel" --speaker customer --results /results
    """
    from wellheard.models.sentences import SentenceEncoder
    from wellheard.pipeline import machine
    from wellheard.pipeline.morning import search as searching
    from wellheard.pipeline.store import Results
    from wellheard.views import search as view

    encoder = SentenceEncoder(threads=machine.workers(1, 1, None)[1])
    with view.reading(screen(sys.stderr)) as on_progress:
        found = searching.search(
            Results(results),
            wanted,
            encoder,
            agent_id=agent,
            speaker=speaker,
            most=most,
            on_progress=on_progress,
        )
    give(found.turns, form, out, lambda console: view.show(console, found))
    for note in view.notes(found):
        print(note, file=sys.stderr)
    if found.unread:
        raise typer.Exit(ExitCode.SOME_CALLS_FAILED)


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file: FILE.xlsx or FILE.csv.")],
    results: ResultsFolder = Path("results"),
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")
    ] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day.")] = None,
    settings: SettingsFile = None,
) -> None:
    """Write the results for Excel: sheets of calls, agents, marks and failures; as CSV the calls alone.

    \b
    wellheard export --results /results --out night.xlsx --from 2025-02-19 --to 2025-02-19
    """
    from wellheard.views import export as view
    from wellheard.views.steps import steps

    with steps(screen(sys.stderr)) as show:
        written = view.export(
            _as_it_counts(results, settings),
            out,
            first and first.date(),
            last and last.date(),
            lambda done, total: show("days", done, total),
        )
    view.show(screen(), out, written)


@app.command()
def evaluate(
    labels: Annotated[
        Path,
        typer.Argument(metavar="LABELS", help="Labelled calls (JSON lines).", exists=True, dir_okay=False),
    ],
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Judge these recordings of the calls, not their text."),
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="OUT", help="Write all figures as JSON.")] = None,
    settings: SettingsFile = None,
) -> None:
    """Measure how far the marks agree with people's, criterion by criterion.

    LABELS has one call a line, with its turns and the answers that people gave (data/labelled/README.md).
    An answer may be missing. With a manifest, its recordings of the same call_ids are transcribed and judged.

    \b
    wellheard evaluate our_calls.jsonl
    wellheard evaluate our_calls.jsonl --manifest recordings.csv --json agreement.json
    """
    from wellheard.pipeline import settings as settings_file
    from wellheard.rubrics import language_model, loader
    from wellheard.training import agreement, labelled
    from wellheard.views import evaluation
    from wellheard.views.files import write_text

    house = settings_file.load(settings)
    rubrics = [loader.load(name) for name in house.score.rubrics]
    language_model.check(house.language_model, rubrics)
    calls = labelled.read(labels, [f"{r.id}.{criterion.id}" for r in rubrics for criterion in r.criteria])
    console = screen()
    judgements: Sequence[Judgement]
    shown: Mapping[tuple[str, str], Sequence[object]]
    if manifest is None:
        judgements, shown = _judge_text(console, calls, rubrics, house)
    else:
        judgements, shown = _judge_sound(console, calls, manifest, house)
    figures = agreement.agreement(judgements)
    if json:
        write_text(json, evaluation.as_json(figures, judgements, shown))
    evaluation.show(console, figures)


def _judge_text(
    console: "Console", calls: "Sequence[LabelledCall]", rubrics: "Sequence[Rubric]", house: "Settings"
) -> "tuple[list[Judgement], dict[tuple[str, str], list[int]]]":
    from wellheard.models.act_tagger import ActTagger
    from wellheard.models.sentences import SentenceEncoder
    from wellheard.pipeline import machine
    from wellheard.rubrics import house as house_judge
    from wellheard.rubrics.language_model import LanguageModelJudge
    from wellheard.training import evaluate as judging
    from wellheard.views.steps import steps

    threads = machine.workers(1, 1, None)[1]
    tagger = ActTagger(threads, house.models.path)
    encoder = SentenceEncoder(house.models.path, threads)
    with steps(console) as show:
        return judging.from_text(
            calls,
            rubrics,
            tagger,
            encoder,
            house.score,
            LanguageModelJudge.of(house.language_model) if house.language_model else None,
            lambda done: show("judged", done, len(calls)),
            house_judge.read(house.score.house),
        )


def _judge_sound(
    console: "Console", calls: "Sequence[LabelledCall]", manifest: Path, house: "Settings"
) -> "tuple[list[Judgement], dict[tuple[str, str], list[tuple[float, float]]]]":
    from tempfile import TemporaryDirectory

    from wellheard.pipeline import ingest
    from wellheard.pipeline.store import Results
    from wellheard.training import evaluate as judging
    from wellheard.views import night

    found = ingest.find([str(manifest)], house.ingest, house.house)
    with TemporaryDirectory(prefix="wellheard-") as folder:
        _, tally = _run(console, found, Path(folder), house, None, None)
        night.show_failures(console, [*found.failures, *tally.failures], Path(folder))
        return judging.from_sound(calls, Results(Path(folder)).table("marks").to_pylist())


@app.command()
def train(
    what: Annotated[
        Literal["judges", "sounds"], typer.Argument(metavar="[WHAT]", help="judges or sounds.")
    ] = "judges",
    clips: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="For sounds: the folder of clips.", exists=True, file_okay=False),
    ] = None,
    reviews: Annotated[
        Path | None,
        typer.Option(
            "--reviews",
            metavar="DIR",
            help="Adapt the judges to the reviews in this results folder.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    settings: SettingsFile = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="With --reviews: the file.  [default: house.json in DIR]"),
    ] = None,
) -> None:
    """Adapt the judges to a house's own reviews, or train anew what wellheard ships trained.

    With --reviews: learns from what people answered, and checks on calls it has not learnt from whether that
    helps; where it does not by more than chance, a criterion is left as shipped. Minutes, and no clone is
    needed (docs/trust.md).

    Without, in a clone of the project, from what lies in data/:
    judges: from the labelled calls and the bank; hours. Replaces models/acts.safetensors,
    rubrics/combination.json and data/out_of_fold.parquet. sounds: from clips of dogs, babies and other sounds
    (docs/sounds.md) and data/speech; about half an hour. Replaces models/sounds.safetensors. The seeds are
    fixed: the same data, libraries and kind of machine give the same.

    \b
    wellheard train --reviews /results --settings wellheard.toml
    wellheard train
    wellheard train sounds --clips clips/
    """
    import os

    from wellheard.views.steps import steps

    if reviews is not None:
        _adapt(reviews, settings, out or reviews / "house.json")
        return
    if (what == "sounds") != (clips is not None):
        raise typer.BadParameter("Sounds are learnt from clips: give both `sounds` and --clips, or neither.")
    threads = os.cpu_count() or 1
    with steps(screen()) as show:
        if clips is not None:
            from wellheard.training import sounds

            sounds.train(clips, threads, show)
        else:
            from wellheard.training import train as training
            from wellheard.training.acts import TrainSettings

            training.train(TrainSettings(), threads, lambda step, done, total, _: show(step, done, total))


def _adapt(folder: Path, settings: Path | None, out: Path) -> None:
    """Adapt the judges to the reviews of a results folder."""
    from wellheard.pipeline import settings as settings_file
    from wellheard.pipeline.morning import reviews
    from wellheard.pipeline.morning.stored import StoredCalls
    from wellheard.pipeline.store import Results
    from wellheard.rubrics import loader
    from wellheard.training import house
    from wellheard.views import adaptation as view
    from wellheard.views.files import write_text
    from wellheard.views.steps import steps

    rubrics = [loader.load(name) for name in settings_file.load(settings).score.rubrics]
    found = reviews.read(folder)
    if not found:
        raise NoInput(f"There are no reviews in {folder}", "Hear calls first: wellheard review")
    about = {"made": datetime.now().astimezone().isoformat(timespec="seconds"), "results": str(folder)}
    with steps(screen(sys.stderr)) as show:
        calls = StoredCalls(Results(folder), "", only={review.call_id for review in found})
        lessons = house.lessons(found, calls, rubrics)
        judge, outcomes = house.adapt(lessons.lessons, about, lambda *done: show("criteria", *done))
    write_text(out, house.written(judge))
    view.show(screen(), lessons, outcomes, out)


@bench_app.command("hearing")
def bench_hearing(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER", help="Recordings and references.", exists=True, file_okay=False),
    ],
    json: Annotated[Path | None, typer.Option(metavar="OUT", help="Write all figures as JSON.")] = None,
    results: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep what is heard here; what is there is not heard again."),
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Measure how well recordings are heard: words, parties, roles, holds, interruptions, sounds.

    A reference has its recording's name and ends in .json or .rttm; it lies beside the recording or in the
    folder `reference` (docs/hearing.md). Recordings without one are left out. The table is Markdown.

    \b
    wellheard bench hearing our_calls
    wellheard bench hearing our_calls other_calls --json hearing.json
    """
    from tempfile import TemporaryDirectory

    from wellheard.pipeline import settings as settings_file
    from wellheard.pipeline.store import Results
    from wellheard.training import references
    from wellheard.views import night
    from wellheard.views.files import write_text

    _needs_extra("bench", "jiwer", "whisper_normalizer")
    from wellheard.training import hearing
    from wellheard.views import hearing as view

    house = settings_file.load(settings)
    found, known = references.find_all(folders, house)
    console = screen(sys.stderr)
    with TemporaryDirectory(prefix="wellheard-") as temporary:
        folder = results or Path(temporary)
        _, tally = _run(console, found, folder, house, None, None)
        night.show_failures(console, [*found.failures, *tally.failures], folder)
        rows = {name: Results(folder).table(name).to_pylist() for name in ("calls", "turns")}
        figures = hearing.of_calls(rows["calls"], rows["turns"], known, house.listen)
    if json:
        write_text(json, view.as_json(figures))
    print(view.as_markdown(view.groups(figures)), end="")


@bench_app.command("speed")
def bench_speed(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Recordings, or folders of them.")],
    whisperx: Annotated[
        Path | None,
        typer.Option(metavar="PYTHON", help="A Python in which WhisperX is installed.", exists=True),
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="OUT", help="Write all figures as JSON.")] = None,
) -> None:
    """Measure how fast calls are scored, beside the obvious script and WhisperX.

    All hear the same files in turn, each in a process of its own with the same threads: this pipeline, from
    file to scorecard; faster-whisper and then pyannote's pipeline at its default step; and with --whisperx
    the words of WhisperX. Let nothing else work on the machine meanwhile. The tables are Markdown.

    \b
    wellheard bench speed calls/*.wav
    wellheard bench speed calls --whisperx ~/whisperx/bin/python --json speed.json
    """
    from wellheard.pipeline import ingest, machine
    from wellheard.pipeline.settings import Settings
    from wellheard.views.files import write_text
    from wellheard.views.steps import steps

    _needs_extra("bench", "jiwer", "whisper_normalizer")
    from wellheard.training import references
    from wellheard.training.speed import compare
    from wellheard.views import speed as view

    console = screen(sys.stderr)
    found = ingest.find(files, Settings().ingest, Settings().house)
    recordings = [source.paths[0] for source in found.sources if len(source.paths) == 1]
    if not recordings:
        raise NoInput("there is no recording among these", "Give recordings, each with both parties.")
    if whisperx is None:
        console.print("WhisperX is left out: no --whisperx")
    commands = compare.contestants(machine.workers(1, 1, None)[1], whisperx)
    with steps(console) as show:
        figures = compare.compare(recordings, references.beside(recordings), commands, show)
    if json:
        write_text(json, view.as_json(figures))
    print(view.as_markdown(figures), end="")


def _needs_extra(name: str, *modules: str) -> None:
    """Say in one line what is not installed."""
    from importlib.util import find_spec

    from wellheard.pipeline.errors import ExtraMissing

    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ExtraMissing(f"{missing[0]} is not installed", f"Run: pip install 'wellheard[{name}]'")


@models_app.command("pull")
def pull_models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Default: what is needed.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="HF_TOKEN", help="For models of the hub that ask for one.", show_envvar=True),
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Get models that are not there yet. Nothing else uses the network, but a language model if you name one.

    \b
    wellheard models pull
    wellheard models pull large-v3-turbo
    """
    from wellheard.models import store
    from wellheard.models.catalog import DEFAULT_PULL
    from wellheard.pipeline import settings as settings_file

    if settings_file.load(settings).house.sealed:
        raise BadSettings(
            "This house is sealed: nothing may be contacted",
            "Copy the models' folder from another machine (docs/models.md).",
        )
    wanted = names or DEFAULT_PULL
    store.pull(wanted, token, lambda line: print(visible(line), flush=True))
    print(f"The models are there: {', '.join(map(visible, wanted))}.")


@models_app.command("list")
def list_models(settings: SettingsFile = None, form: RowFormat = Format.TABLE, out: RowFile = None) -> None:
    """Show all models, and which are on this machine."""
    from wellheard.models import store
    from wellheard.views import models as view

    rows = view.models(store.status(_models_folder(settings)))
    give(rows, form, out, lambda console: view.show_models(console, rows))


@models_app.command("verify")
def verify_models(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Default: all.")] = None,
    settings: SettingsFile = None,
    form: RowFormat = Format.TABLE,
    out: RowFile = None,
) -> None:
    """Check every model file against its hash. Exit code 2 if one is missing or not as published."""
    from wellheard.models import store
    from wellheard.views import models as view

    found = store.verify(names or (), _models_folder(settings))
    rows = view.files(found)
    give(rows, form, out, lambda console: view.show_files(console, rows))
    if any(row.state != "ok" for row in found):
        raise typer.Exit(ExitCode.USAGE)


def _models_folder(settings: Path | None) -> Path | None:
    from wellheard.pipeline import settings as settings_file

    return settings_file.load(settings).models.path


NameOrFile = Annotated[
    str, typer.Argument(metavar="NAME_OR_FILE", help="pec, script, resolution, or a YAML file.")
]


@rubric_app.command("show")
def show_rubric(rubric: NameOrFile, form: RowFormat = Format.TABLE, out: RowFile = None) -> None:
    """Show a checklist: what is asked, what a yes means, when it does not apply.

    \b
    wellheard rubric show pec
    """
    from wellheard.rubrics import loader
    from wellheard.views import rubrics as view

    loaded = loader.load(rubric)
    give(view.criteria(loaded), form, out, lambda console: view.show(console, loaded))


@rubric_app.command("lint")
def lint_rubric(rubric: NameOrFile, form: RowFormat = Format.TABLE, out: RowFile = None) -> None:
    """Check a checklist and name every mistake with its line. Exit code 2 if there is one.

    A warning is no mistake: the checklist can be used, but may not do what was meant.

    \b
    wellheard rubric lint our_rubric.yaml
    """
    from wellheard.rubrics import loader
    from wellheard.views import rubrics as view

    found = loader.lint(loader.FOLDER / f"{rubric}.yaml" if rubric in loader.BUILT_IN else Path(rubric))
    give(view.problems(found), form, out, lambda console: view.show_problems(console, found))
    if any(problem.severity == "error" for problem in found):
        raise typer.Exit(ExitCode.USAGE)


@rubric_app.command("rehearse")
def rehearse_rubric(
    rubric: NameOrFile,
    results: ResultsFolder = Path("results"),
    labels: Annotated[
        Path | None,
        typer.Option(metavar="LABELS", help="Also judge these labelled calls (JSON lines).", exists=True),
    ] = None,
    settings: SettingsFile = None,
    form: RowFormat = Format.TABLE,
    out: RowFile = None,
) -> None:
    """Show what a changed checklist would do to the stored calls. Stores nothing.

    All calls of the results are scored anew, without their sound, and held against the marks of the
    checklist with the same id. The rows given out are the marks that move. With labelled calls it is also
    shown which answers become wrong or right, against the checklist of that id that the settings name.

    \b
    wellheard rubric rehearse our_rubric.yaml --results /results
    wellheard rubric rehearse our_rubric.yaml --labels our_calls.jsonl --settings wellheard.toml
    """
    from wellheard.models.sentences import SentenceEncoder
    from wellheard.pipeline import machine
    from wellheard.pipeline import settings as settings_file
    from wellheard.pipeline.morning.rehearse import rehearse
    from wellheard.pipeline.morning.stored import StoredCalls
    from wellheard.pipeline.store import Results
    from wellheard.rubrics import house as house_judge
    from wellheard.rubrics import loader
    from wellheard.views import rehearsal as view
    from wellheard.views.steps import steps

    house = settings_file.load(settings)
    new = loader.load(rubric)
    labelled = _labelled_calls(labels, new, house) if labels else None
    judge = _language_model(house, [new])
    stored = StoredCalls(Results(results), new.id)
    encoder = SentenceEncoder(house.models.path, machine.workers(1, 1, None)[1])
    with steps(screen(sys.stderr)) as show:
        found = rehearse(
            stored,
            new,
            encoder,
            house.score,
            judge,
            lambda done: show("scored anew", done, len(stored)),
            house_judge.read(house.score.house),
        )
    pairs = _rehearse_labelled(*labelled, new, encoder, house) if labelled else None
    give(view.rows(found, pairs or ()), form, out, lambda console: view.show(console, found, pairs))


def _language_model(house: "Settings", rubrics: "Sequence[Rubric]") -> "LanguageModelJudge | None":
    """The language model, if one of these rubrics asks it."""
    from wellheard.rubrics import language_model

    if all(criterion.judge != language_model.NAME for r in rubrics for criterion in r.criteria):
        return None
    language_model.check(house.language_model, rubrics)
    assert house.language_model is not None
    return language_model.LanguageModelJudge.of(house.language_model)


def _labelled_calls(
    labels: Path, new: "Rubric", house: "Settings"
) -> "tuple[tuple[LabelledCall, ...], Rubric]":
    """Labelled calls, and the rubric that the settings have in the place of the new one."""
    from wellheard.rubrics import loader
    from wellheard.training import labelled

    present = [loader.load(name) for name in house.score.rubrics]
    old = next((rubric for rubric in present if rubric.id == new.id), None)
    if old is None:
        raise BadSettings(
            f"The settings name no rubric {new.id}, so nothing tells what was right before",
            "Give settings whose [score] names the present one, or see what is right: wellheard evaluate",
        )
    criteria = [f"{r.id}.{criterion.id}" for r in (*present, new) for criterion in r.criteria]
    return labelled.read(labels, list(dict.fromkeys(criteria))), old


def _rehearse_labelled(
    calls: "Sequence[LabelledCall]",
    old: "Rubric",
    new: "Rubric",
    encoder: "SentenceEncoder",
    house: "Settings",
) -> "tuple[LabelledPair, ...]":
    from wellheard.models.act_tagger import ActTagger
    from wellheard.pipeline import machine
    from wellheard.rubrics import house as house_judge
    from wellheard.training.rehearse import rehearse
    from wellheard.views.steps import steps

    judge = _language_model(house, [old, new])
    tagger = ActTagger(machine.workers(1, 1, None)[1], house.models.path)
    with steps(screen(sys.stderr)) as show:
        return rehearse(
            calls,
            old,
            new,
            tagger,
            encoder,
            house.score,
            judge,
            lambda done: show("judged", done, len(calls)),
            house_judge.read(house.score.house),
        )


if __name__ == "__main__":
    main()
