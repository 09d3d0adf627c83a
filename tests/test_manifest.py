"""The list of calls that a telephone system exports, in all the forms in which it comes."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wellheard.pipeline import manifest, moments
from wellheard.pipeline.errors import BadManifest
from wellheard.pipeline.manifest import Listing
from wellheard.pipeline.records import CallInfo, Failure, Source
from wellheard.pipeline.settings import House, Ingest

WARSAW = House(timezone="Europe/Warsaw")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with recordings a.wav to e.wav, which are not opened here."""
    for name in "abcde":
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF")
    return tmp_path


def read(
    folder: Path,
    text: str | bytes,
    house: House = WARSAW,
    name: str = "calls.csv",
    columns: dict[str, str] | None = None,
) -> Listing:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return manifest.read(path, Ingest(columns=columns or {}), house)


def only(listing: Listing) -> CallInfo:
    (row,) = listing.rows
    assert isinstance(row, Source), row
    return row.info


def infos(listing: Listing) -> list[CallInfo]:
    return [row.info for row in listing.rows if isinstance(row, Source)]


def failures(listing: Listing) -> list[Failure]:
    return [row for row in listing.rows if isinstance(row, Failure)]


def test_every_column_arrives_in_its_field(folder: Path) -> None:
    listing = read(
        folder,
        "path,call_id,agent_id,agent_name,team,region,customer_segment,started_at,direction,language,"
        "agent_channel,company,queue,skill\n"
        "a.wav,c-1,007,Anna Maria,Sales,north,gold,2025-06-10T14:15:00+02:00,inbound,pl,1,Brightline,Q,\n",
    )
    info = only(listing)
    assert info == CallInfo(
        call_id="c-1",
        agent_id="007",
        agent_name="Anna Maria",
        team="Sales",
        region="north",
        customer_segment="gold",
        started_at=datetime(2025, 6, 10, 14, 15, tzinfo=timezone(timedelta(hours=2))),
        direction="inbound",
        language="pl",
        agent_channel=1,
        company="Brightline",
        extra={"queue": "Q"},
    )
    assert listing.rows[0].paths == (str(folder / "a.wav"),)  # type: ignore[union-attr]
    assert listing.notes == ()


def test_only_the_path_is_needed(folder: Path) -> None:
    assert only(read(folder, "path\na.wav\n")) == CallInfo(call_id="")


@pytest.mark.parametrize(
    "data",
    [
        b'\xef\xbb\xbf"path",agent_id\r\na.wav,A1\r\n',
        '"path"\tagent_id\r\na.wav\tA1\r\n'.encode("utf-16"),
        b"\xff\xfe" + "path\tagent_id\r\na.wav\tA1\r\n".encode("utf-16-le"),
        b"\xfe\xff" + "path\tagent_id\r\na.wav\tA1\r\n".encode("utf-16-be"),
        "path;agent_id\r\na.wav;A1\r\n".encode("utf-16-le"),
        b"sep=;\r\npath;agent_id\r\na.wav;A1\r\n",
        b"path|agent_id\na.wav|A1\n",
        b"path , agent_id\na.wav , A1\n\n\n",
        b"\n\npath;agent_id;;\n\na.wav;A1;;\n",
        b"path,agent_id\ra.wav,A1\r",
    ],
    ids=[
        "bom",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "no bom",
        "sep=",
        "bars",
        "blanks",
        "empty ends",
        "old mac",
    ],
)
def test_case_10_exports_of_spreadsheets(folder: Path, data: bytes) -> None:
    assert only(read(folder, data)).agent_id.strip() == "A1"


@pytest.mark.parametrize(
    ("names", "encoding", "languages"),
    [
        ("Иванова Мария;Продажи", "cp1251", ("ru",)),
        ("Юлия;", "cp1251", ("ru", "en", "pl", "ro")),
        ("Żaneta Łuczak;Sprzedaż", "cp1250", ("en", "ru", "pl", "ro")),
        ("Józef Wiśniewski;Obsługa", "cp1250", ("en", "ru", "pl", "ro")),
        ("Ştefan Ţurcanu;Vânzări", "cp1250", ("ro", "en")),
        ("Żaneta Łuczak;Sprzedaż", "cp852", ("pl",)),
        ("Мария Иванова;Продажи и возвраты", "cp866", ("ru",)),
        ("Hélène Besançon;Ventes", "cp1252", ("fr", "en")),
    ],
)
def test_old_encodings_are_recognised_and_named(
    folder: Path, names: str, encoding: str, languages: tuple[str, ...]
) -> None:
    text = f"path;agent_name;team\r\na.wav;{names}\r\n"
    listing = read(folder, text.encode(encoding), House(languages=languages))
    info = only(listing)
    assert f"{info.agent_name};{info.team or ''}" == names
    assert encoding in listing.notes[0]


def test_bytes_of_no_encoding_are_refused_in_one_line(folder: Path) -> None:
    with pytest.raises(BadManifest, match="utf-16"):
        read(folder, b"\xff\xfepath\x00")


def test_case_11_ids_stay_text(folder: Path) -> None:
    listing = read(
        folder,
        'path,call_id,agent_id,phone\na.wav,"0001","007",7.9001E+10\nb.wav,"0002","7",79001234567\n'
        "c.wav,1001.0,12,79001234568\n",
    )
    first, second, third = infos(listing)
    assert [info.call_id for info in (first, second, third)] == ["0001", "0002", "1001.0"]
    assert [info.agent_id for info in (first, second, third)] == ["007", "7", "12"]
    assert first.extra == {}
    assert first.notes == ("phone 7.9001E+10 was damaged by a spreadsheet (its digits are gone); not used",)
    assert second.extra == {"phone": "79001234567"}
    assert third.notes == ("call_id 1001.0 is kept as it is written; the .0 may be a spreadsheet's",)
    assert listing.notes == (
        "calls.csv: row 2: phone 7.9001E+10 was damaged by a spreadsheet (its digits are gone); not used",
        "calls.csv: row 4: call_id 1001.0 is kept as it is written; the .0 may be a spreadsheet's",
    )


def test_case_11_ids_that_an_export_protects_from_spreadsheets(folder: Path) -> None:
    info = only(read(folder, 'path,call_id,agent_id\na.wav,="0001","=""007"""\n'))
    assert (info.call_id, info.agent_id) == ("0001", "007")


def test_case_11_a_damaged_id_matches_nothing(folder: Path) -> None:
    listing = read(folder, "path,call_id,agent_id\na.wav,1.75E+09,7.9E+10\nb.wav,1.75E+09,7.9E+10\n")
    assert [(info.call_id, info.agent_id) for info in infos(listing)] == [("", "unknown")] * 2
    assert len(infos(listing)[0].notes) == 2


def test_case_11_parquet_keeps_what_its_types_say(folder: Path) -> None:
    table = pa.table(
        {
            "path": ["a.wav", "b.wav", "c.wav"],
            "call_id": ["0001", "0002", "0003"],
            "agent_id": pa.array([7, 12, None], pa.int64()),
            "phone": pa.array([79001234567.0, None, 1.5], pa.float64()),
            "amount": pa.array([Decimal("10.50"), None, None], pa.decimal128(10, 2)),
            "day": pa.array([date(2025, 6, 10), None, None]),
            "started_at": pa.array(
                [datetime(2025, 6, 10, 12, 15, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")
            ),
            "agent_channel": pa.array([1.0, None, 0.0]),
            "transferred": pa.array([True, None, False]),
            "team": pa.array(["x", None, "y"]).dictionary_encode(),
        }
    )
    pq.write_table(table, folder / "calls.parquet")
    first, second, third = infos(manifest.read(folder / "calls.parquet", Ingest(), WARSAW))
    assert [info.agent_id for info in (first, second, third)] == ["7", "12", "unknown"]
    assert first.extra == {
        "phone": "79001234567",
        "amount": "10.50",
        "day": "2025-06-10",
        "transferred": "True",
    }
    assert third.extra == {"phone": "1.5", "transferred": "False"}
    assert first.started_at == datetime(2025, 6, 10, 12, 15, tzinfo=UTC)
    assert (first.agent_channel, second.agent_channel, third.agent_channel) == (1, None, 0)
    assert (first.team, second.team) == ("x", None)


def test_parquet_in_a_folder_named_like_a_partition_gets_no_columns_from_it(folder: Path) -> None:
    place = folder / "agent_id=9"
    place.mkdir()
    (place / "a.wav").write_bytes(b"RIFF")
    pq.write_table(pa.table({"path": ["a.wav"]}), place / "calls.parquet")
    listing = manifest.read(place / "calls.parquet", Ingest(), WARSAW)
    assert only(listing).agent_id == "unknown"


def test_a_damaged_parquet_file_is_refused(folder: Path) -> None:
    with pytest.raises(BadManifest, match="no Parquet file"):
        read(folder, b"PAR1 nonsense", name="calls.parquet")


def test_case_12_times_without_a_zone_and_the_night_the_clock_goes_back(folder: Path) -> None:
    listing = read(
        folder,
        "path,started_at\na.wav,2024-10-27 02:30:00\nb.wav,2024-10-27 02:30:00\nc.wav,2024-10-27T00:30:00Z\n"
        "d.wav,2024-10-26T23:50:00-04:00\ne.wav,2024-03-31 02:30:00\n",
    )
    first, second, third, fourth, skipped = infos(listing)
    assert str(first.started_at) == str(second.started_at) == "2024-10-27 02:30:00+02:00"
    assert "came twice that night" in first.notes[0]
    assert third.started_at == first.started_at
    assert str(third.started_at) == "2024-10-27 00:30:00+00:00"
    assert third.notes == ()
    assert fourth.started_at is not None
    assert fourth.started_at.astimezone(ZoneInfo("Europe/Warsaw")).date() == date(2024, 10, 27)
    assert "did not come that night" in skipped.notes[0]
    assert listing.notes[-1] == (
        "calls.csv: times that name no zone: 3, taken as Europe/Warsaw (house.timezone in the settings)"
    )


SUMMER = "2025-06-10T14:15:00+02:00"


@pytest.mark.parametrize(
    "text",
    [
        "2025-06-10T14:15:00+02:00",
        "2025-06-10T12:15:00Z",
        "2025-06-10T12:15:00.000Z",
        "2025-06-10 14:15",
        "2025-06-10T14-15-00",
        "2025/06/10 14:15:00",
        "20250610-141500",
        "20250610T141500",
        "20250610141500",
        "2025-06-10 12:15:00 UTC",
        "2025-06-10 08:15:00-0400",
        "2025-06-10 08:15:00 -04",
        "10.06.2025 14:15",
        "10.06.2025 14:15:00",
        "10.6.2025, 14:15",
        "10.06.25 14:15",
        "10.06.2025 14.15",
        "1749557700",
        "1749557700.0",
        "1749557700000",
        "45818.59375",
        "Tue, 10 Jun 2025 14:15:00 +0200",
        "10 June 2025 2:15 PM",
        "Jun 10, 2025 14:15",
        "2025-06-10 14:15:00 CEST",
    ],
)
def test_dates_in_many_forms(text: str) -> None:
    moment = moments.understand(text, ZoneInfo("Europe/Warsaw"))
    assert moment.at == datetime.fromisoformat(SUMMER)


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "14:15",
        "2025-06",
        "June 2025",
        "2025-13-40 10:00",
        "31.02.2025",
        "0",
        "12",
        "2025-06-10 14:15 IST",
    ],
)
def test_what_is_no_date_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        moments.understand(text, ZoneInfo("Europe/Warsaw"))


def started(listing: Listing) -> list[str]:
    return [str(info.started_at)[:10] for info in infos(listing)]


def test_month_or_day_first_is_shown_by_the_other_rows(folder: Path) -> None:
    rows = "path,started_at\na.wav,06/10/2025 14:15\nb.wav,06/25/2025 14:15\n"
    listing = read(folder, rows)
    assert started(listing) == ["2025-06-10", "2025-06-25"]
    assert all(info.notes == () for info in infos(listing))
    listing = read(folder, rows.replace("06/25", "25/06"))
    assert started(listing) == ["2025-10-06", "2025-06-25"]


def test_month_or_day_first_is_pointed_out_where_nothing_shows_it(folder: Path) -> None:
    listing = read(
        folder, "path,started_at\na.wav,06/10/2025 14:15\nb.wav,6/11/2025 2:15 PM\nc.wav,07/07/2025\n"
    )
    first, second, third = infos(listing)
    assert started(listing) == ["2025-10-06", "2025-06-11", "2025-07-07"]
    assert "taken with the day first" in first.notes[0]
    assert "taken with the month first" in second.notes[0]
    assert third.notes == ()


def test_a_date_that_cannot_be_read_is_a_failure_with_a_way_out(folder: Path) -> None:
    listing = read(folder, "path,call_id,started_at\na.wav,c1,next Tuesday\nb.wav,c2,\n")
    (failure,) = failures(listing)
    assert failure.call_id == "c1"
    assert failure.reason == "row 2: started_at 'next Tuesday' is no date that can be read"
    assert "leave it empty" in failure.advice
    assert infos(listing)[0].started_at is None


def test_columns_are_mapped_in_the_settings(folder: Path) -> None:
    listing = read(
        folder,
        "Recording File;Agent Login;agent_id;Warteschlange\na.wav;jsmith;17;Q5\n",
        columns={"path": "Recording File", "agent_id": "agent login", "queue": "Warteschlange"},
    )
    info = only(listing)
    assert info.agent_id == "jsmith"
    assert info.extra == {"agent_id": "17", "queue": "Q5"}


def test_a_mapped_column_that_is_not_there_is_noted(folder: Path) -> None:
    listing = read(folder, "path\na.wav\n", columns={"team": "Abteilung"})
    assert listing.notes == ("calls.csv: has no column 'Abteilung', which the settings name for team",)


def test_headers_may_differ_in_case_blanks_and_underscores(folder: Path) -> None:
    assert only(read(folder, "PATH,Agent ID,Call-Id,Started At\na.wav,5,9,\n")).agent_id == "5"


def test_a_manifest_without_a_path_says_what_it_has_and_how_to_map_it(folder: Path) -> None:
    with pytest.raises(BadManifest) as caught:
        read(folder, "Agent,Recording File,Duration\n5,a.wav,10\n")
    assert "Agent, Recording File, Duration" in caught.value.reason
    assert '[ingest.columns]\n    path = "Recording File"' in caught.value.advice


@pytest.mark.parametrize("text", ["", "\n\n", "path,agent_id\n", "path,agent_id\n\n,,\n"])
def test_a_manifest_without_rows_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(BadManifest, match=r"no rows|empty"):
        read(folder, text)


def test_a_spreadsheet_file_is_refused_with_advice(folder: Path) -> None:
    with pytest.raises(BadManifest, match="Save it as CSV"):
        read(folder, b"PK\x03\x04" + bytes(50))


def test_two_columns_for_one_field_are_refused(folder: Path) -> None:
    with pytest.raises(BadManifest, match="two columns for agent_id"):
        read(folder, "path,agent_id,Agent ID\na.wav,1,2\n")


def test_a_quotation_mark_left_open_swallows_no_rows(folder: Path) -> None:
    with pytest.raises(BadManifest, match="quotation mark"):
        read(folder, 'path,agent_name\na.wav,"Anna\nb.wav,Maria\n')


def test_a_row_with_too_many_cells_is_not_read_shifted(folder: Path) -> None:
    listing = read(folder, "path,agent_name,team\na.wav,Kowalska, Marta,x\nb.wav,Anna\nc.wav,Ewa,y,,\n")
    (failure,) = failures(listing)
    assert failure.reason == "row 2: the row has 4 cells, the manifest 3 columns"
    assert [info.agent_name for info in infos(listing)] == ["Anna", "Ewa"]


def test_doubled_call_ids_are_named_and_the_first_stays(folder: Path) -> None:
    listing = read(folder, "path,call_id\na.wav,c1\nb.wav,c1\nc.wav,c2\n")
    assert [info.call_id for info in infos(listing)] == ["c1", "c2"]
    (failure,) = failures(listing)
    assert failure.reason == "row 3: call_id c1 stands in row 2 already"
    assert failure.path == "b.wav"


def test_rows_without_a_call_id_are_no_doubles(folder: Path) -> None:
    assert len(infos(read(folder, "path,call_id\na.wav,\nb.wav,NULL\nc.wav,\n"))) == 3


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/hostname", "leaves"),
        ("../outside.wav", "leaves"),
        ("sub/../../outside.wav", "leaves"),
        ("link.wav", "leaves"),
        ("linked/outside.wav", "leaves"),
        ("C:\\calls\\a.wav", "leaves"),
        ("\\\\server\\calls\\a.wav", "leaves"),
        ("..\\outside.wav", "leaves"),
        ("a.wav|../outside.wav", "leaves"),
        ("https://pbx.example/a.wav", "address"),
        ("file:///etc/hostname", "address"),
        ("gone.wav", "no such file"),
        ("", "names no recording"),
        ("sub", "no such file"),
        ("a.wav|b.wav|c.wav", "names 3 files"),
        ("a\x07.wav", "control characters"),
        ("x" * 5000 + ".wav", "cannot be followed"),
    ],
)
def test_a_path_that_cannot_be_used_is_a_failure_of_its_row(folder: Path, path: str, reason: str) -> None:
    inside = folder / "in"
    (inside / "sub").mkdir(parents=True)
    (folder / "outside.wav").write_bytes(b"RIFF")
    (inside / "a.wav").write_bytes(b"RIFF")
    (inside / "link.wav").symlink_to(folder / "outside.wav")
    (inside / "linked").symlink_to(folder)
    listing = read(inside, f'path,call_id\n"{path}",c1\na.wav,c2\n')
    (failure,) = failures(listing)
    assert reason in failure.reason
    assert failure.call_id == "c1"
    assert failure.stage == "ingest"
    assert len(infos(listing)) == 1


def test_paths_that_stay_inside_are_fine(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "f.wav").write_bytes(b"RIFF")
    (folder / "link.wav").symlink_to(folder / "a.wav")
    rows = ["sub/f.wav", "sub\\f.wav", "./a.wav", "sub/../a.wav", "link.wav", str(folder / "a.wav")]
    listing = read(folder, "path\n" + "\n".join(rows) + "\n")
    assert len(infos(listing)) == len(rows)


def paths(listing: Listing) -> list[str]:
    (row,) = listing.rows
    assert isinstance(row, Source), row
    return [Path(path).name for path in row.paths]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("path\na.wav|b.wav\n", ["a.wav", "b.wav"]),
        ('path,x\n"a.wav; b.wav",1\n', ["a.wav", "b.wav"]),
        ("path,agent_channel\na.wav|b.wav,1\n", ["b.wav", "a.wav"]),
        ("path_agent,path_customer\nb.wav,a.wav\n", ["b.wav", "a.wav"]),
        ("path,path_agent,path_customer\n,b.wav,a.wav\n", ["b.wav", "a.wav"]),
        ("path_agent,path_customer\n,a.wav\n", ["a.wav"]),
        ("path\nx-in.wav|x-out.wav\n", ["x-out.wav", "x-in.wav"]),
        ("path,agent_channel\nx-in.wav|x-out.wav,1\n", ["x-out.wav", "x-in.wav"]),
        ("path,agent_channel\nx-in.wav|x-out.wav,0\n", ["x-in.wav", "x-out.wav"]),
        ("path\nodd|name.wav\n", ["odd|name.wav"]),
    ],
)
def test_two_files_of_one_call_come_agent_first(folder: Path, text: str, names: list[str]) -> None:
    for name in ("x-in.wav", "x-out.wav", "odd|name.wav"):
        (folder / name).write_bytes(b"RIFF")
    assert paths(read(folder, text)) == names


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("en_GB.UTF-8", "en"),
        ("eng", "en"),
        ("english", "en"),
        ("русский", "ru"),
        ("Russian", "ru"),
        ("polski", "pl"),
        ("pol", "pl"),
        ("română", "ro"),
        ("ro-MD", "ro"),
    ],
)
def test_languages_by_code_tag_or_name(folder: Path, text: str, code: str) -> None:
    assert only(read(folder, f"path,language\na.wav,{text}\n")).language == code


@pytest.mark.parametrize("text", ["xx", "gibberish", "12"])
def test_an_unknown_language_is_noted_and_heard_instead(folder: Path, text: str) -> None:
    info = only(read(folder, f"path,language\na.wav,{text}\n"))
    assert info.language is None
    assert info.notes == (f"language '{text}' is not known; it is heard from the call instead",)


@pytest.mark.parametrize(
    ("text", "channel"), [("0", 0), ("1", 1), ("left", 0), ("Right", 1), ("L", 0), ("1.0", 1), ("", None)]
)
def test_the_agents_channel(folder: Path, text: str, channel: int | None) -> None:
    info = only(read(folder, f"path,agent_channel\na.wav,{text}\n"))
    assert info.agent_channel == channel
    assert info.notes == ()


def test_another_channel_is_noted(folder: Path) -> None:
    info = only(read(folder, "path,agent_channel\na.wav,2\n"))
    assert info.agent_channel is None
    assert info.notes == ("agent_channel '2' is neither 0 (left) nor 1 (right); not used",)


CASE_24 = [
    "sales/07",
    "Anna Maria",
    "50%",
    "a=b",
    "Żółć",
    "..",
    "back\\slash",
    "%2F",
    "q:r",
    "+7",
    "A7 ",
    "Anna",
    "anna",
]


def test_case_24_ids_that_are_no_folder_names_are_kept_letter_for_letter(folder: Path) -> None:
    rows = "".join(f'a.wav,"{agent}","call {agent}"\n' for agent in CASE_24)
    listing = read(folder, "path,agent_id,call_id\n" + rows)
    assert [info.agent_id for info in infos(listing)] == CASE_24
    assert [info.call_id for info in infos(listing)] == [f"call {agent}" for agent in CASE_24]


def test_case_38_square_brackets_are_kept_letter_for_letter(folder: Path) -> None:
    names = ["call [urgent] 12.wav", "note [b].wav"]
    for name in names:
        (folder / name).write_bytes(b"RIFF")
    rows = "".join(f"{name},[red]Anna\n" for name in [*names, "gone [/b].wav"])
    listing = read(folder, "path,agent_id\n" + rows)
    assert [Path(row.paths[0]).name for row in listing.rows if isinstance(row, Source)] == names
    (failure,) = failures(listing)
    assert (failure.path, failure.agent_id) == ("gone [/b].wav", "[red]Anna")


@pytest.mark.parametrize("column", ["call_id", "agent_id"])
def test_control_characters_in_ids_are_refused(folder: Path, column: str) -> None:
    listing = read(folder, f'path,{column}\na.wav,"x\x1b[31m"\n')
    (failure,) = failures(listing)
    assert f"{column} holds control characters" in failure.reason
    assert "\x1b" not in failure.call_id + failure.agent_id


def test_control_characters_elsewhere_become_blanks(folder: Path) -> None:
    info = only(read(folder, 'path,team,note\na.wav,"a\tb","line one\nline two"\n'))
    assert (info.team, info.extra) == ("a b", {"note": "line one line two"})


def test_every_row_is_accounted_for(folder: Path) -> None:
    rows: Sequence[str] = [
        "a.wav,1,2025-06-10",
        "a.wav,1,2025-06-10",
        "gone.wav,2,",
        ",3,",
        "b.wav,4,never",
        "b.wav,,",
        "../x.wav,5,",
        "c.wav,6,,,,x",
    ]
    listing = read(folder, "path,call_id,started_at\n" + "\n".join(rows) + "\n")
    assert len(listing.rows) == len(rows)
    assert len(infos(listing)) == 2
    assert [failure.reason.split(":")[0] for failure in failures(listing)] == [
        f"row {n}" for n in (3, 4, 5, 6, 8, 9)
    ]
    assert all(failure.advice for failure in failures(listing))
    assert listing.files == {folder / "a.wav", folder / "b.wav", folder / "c.wav"}


def test_a_large_manifest_is_read_quickly(folder: Path) -> None:
    rows = "".join(f"a.wav,c{n},agent {n % 40},2025-06-10 14:{n % 60:02}:00,en,x\n" for n in range(5000))
    listing = read(folder, "path,call_id,agent_id,started_at,language,queue\n" + rows)
    assert len(infos(listing)) == 5000
