"""Which calls there are: folders, patterns, recordings and manifests become calls, and nothing else does."""

import os
import re
import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from wellheard.pipeline import ingest
from wellheard.pipeline.audio import decode
from wellheard.pipeline.errors import BadManifest, BadSettings, NoInput
from wellheard.pipeline.ingest import Found
from wellheard.pipeline.records import Source
from wellheard.pipeline.settings import House, Ingest

LONG_AGO = 1_700_000_000


def find(*inputs: Path | str, settings: Ingest | None = None, zone: str = "Europe/Warsaw") -> Found:
    return ingest.find([str(text) for text in inputs], settings or Ingest(), House(timezone=zone))


def put(folder: Path, *names: str) -> Path:
    """Files that nobody is writing any more."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RIFF")
        os.utime(path, (LONG_AGO, LONG_AGO))
    return folder


def names(found: Found) -> list[str]:
    return ["|".join(Path(path).name for path in source.paths) for source in found.sources]


def only(found: Found) -> Source:
    (source,) = found.sources
    return source


def test_a_folder_is_searched_to_its_bottom_and_in_order(tmp_path: Path) -> None:
    put(tmp_path, "b.wav", "a.mp3", "2025/06/11/d.opus", "2025/06/10/c.flac", "z.m4a")
    found = find(tmp_path)
    assert names(found) == ["a.mp3", "b.wav", "z.m4a", "c.flac", "d.opus"]
    assert found == find(tmp_path)


def test_one_recording_may_be_given(tmp_path: Path) -> None:
    put(tmp_path, "a.wav", "b.wav", "odd.bin")
    assert names(find(tmp_path / "a.wav")) == ["a.wav"]
    assert names(find(tmp_path / "odd.bin")) == ["odd.bin"], "what is asked for by name is tried"


def test_patterns(tmp_path: Path) -> None:
    put(tmp_path, "a.wav", "b.mp3", "deep/er/c.wav", "deep/d.txt")
    assert names(find(f"{tmp_path}/*.wav")) == ["a.wav"]
    assert names(find(f"{tmp_path}/**/*.wav")) == ["a.wav", "c.wav"]
    assert names(find(f"{tmp_path}/**")) == ["a.wav", "b.mp3", "c.wav"]
    assert names(find(f"{tmp_path}/*")) == ["a.wav", "b.mp3", "c.wav"]


def test_a_recording_met_twice_is_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.wav", "b.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.wav")
    monkeypatch.chdir(tmp_path)
    assert names(find(tmp_path, tmp_path / "a.wav", "b.wav", f"{tmp_path}/*.wav")) == ["a.wav", "b.wav"]


def test_links_that_go_in_a_circle_end(tmp_path: Path) -> None:
    put(tmp_path, "x/a.wav")
    (tmp_path / "x" / "back").symlink_to(tmp_path)
    assert names(find(tmp_path)) == ["a.wav"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}/gone", "is not there"),
        ("{}/*.wav", "nothing matches"),
        ("{}", "no recording in"),
        ("https://pbx.example/calls", "address on a network"),
        ("/dev/null", "neither a file nor a folder"),
        ("{}/" + "x" * 300, "cannot be opened"),
    ],
)
def test_an_input_that_holds_nothing_is_an_error(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(NoInput) as caught:
        find(text.format(tmp_path))
    assert reason in caught.value.reason
    assert caught.value.advice


def test_a_folder_without_recordings_says_what_was_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "notes.docx", ".DS_Store")
    with pytest.raises(NoInput, match=re.escape("(skipped as no recordings: 1 (1 .docx))")):
        find(tmp_path)


def test_case_3_capitals_in_the_extension_hide_no_file(tmp_path: Path) -> None:
    put(tmp_path, "one.WAV", "two.gsm", "three.amr", "four.Amr", "five.MP3")
    assert len(find(tmp_path).sources) == 5


def test_case_29_companions_and_half_copies(spoken: Path, tmp_path: Path) -> None:
    shutil.copy(spoken / "A.wav", tmp_path / "a.wav")
    os.utime(tmp_path / "a.wav", (LONG_AGO, LONG_AGO))
    (tmp_path / "._a.wav").write_bytes(
        bytes.fromhex("0005160700020000") + b"Mac OS X" + b" " * 8 + bytes(4072)
    )
    put(tmp_path, ".DS_Store", ".AppleDouble/a.wav", "b.wav.part")
    found = find(tmp_path)
    assert names(found) == ["a.wav"]
    assert found.failures == ()
    assert [note for note in found.notes if note.startswith("skipped")] == [
        "skipped as companions or unfinished (._*, .DS_Store, *.part, …): 4"
    ]


def test_case_29_a_file_that_still_grows_waits_for_the_next_night(spoken: Path, tmp_path: Path) -> None:
    put(tmp_path, "a.wav")
    sound = (spoken / "C.wav").read_bytes()
    path = tmp_path / "c.wav"
    path.write_bytes(sound[:8000])
    stop = threading.Event()

    def append() -> None:
        for start in range(8000, len(sound) * 10, 8000):
            if stop.wait(0.5):
                return
            with path.open("ab") as file:
                file.write(sound[start % len(sound) :][:8000])

    writer = threading.Thread(target=append)
    writer.start()
    try:
        found = find(tmp_path)
    finally:
        stop.set()
        writer.join()
    assert names(found) == ["a.wav"]
    assert found.failures == ()
    assert "still being written, left for the next run (1): c.wav" in found.notes


def test_case_29_a_file_copied_just_now_is_whole(spoken: Path, tmp_path: Path) -> None:
    shutil.copy(spoken / "C.wav", tmp_path / "c.wav")
    started = time.monotonic()
    assert names(find(tmp_path)) == ["c.wav"]
    assert time.monotonic() - started < 3


def test_case_29_half_a_pair_that_grows_holds_the_other_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "x-out.wav", "x-in.wav", "y.wav")
    monkeypatch.setattr(
        ingest, "_growing", lambda paths: {path for path in paths if path.endswith("x-in.wav")}
    )
    found = find(tmp_path)
    assert names(found) == ["y.wav"]
    assert "still being written, left for the next run (1): x-out.wav | x-in.wav" in found.notes


def test_case_29_a_row_of_a_manifest_that_grows_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.wav")
    (tmp_path / "calls.csv").write_text("path,call_id\na.wav,c1\n")
    monkeypatch.setattr(ingest, "_growing", set)
    found = find(tmp_path / "calls.csv")
    assert found.sources == ()
    assert found.failures[0].reason == "the recording is still being written"


def test_files_of_other_kinds_are_counted(tmp_path: Path) -> None:
    put(tmp_path, "a.wav", "a.json", "b.json", "readme", "export.csv")
    notes = find(tmp_path).notes
    assert "skipped as no recordings: 4 (1 without extension, 1 .csv, 2 .json)" in notes
    assert (
        f"{tmp_path}/export.csv may list calls; to use it, give it as input or name it manifest.csv" in notes
    )


def test_an_encrypted_recording_is_not_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a.wav.gpg", "notes.gpg")
    assert names(find(tmp_path)) == ["a.wav.gpg"]


def test_a_folder_that_may_not_be_read_is_a_failure(tmp_path: Path) -> None:
    put(tmp_path, "a.wav", "closed/b.wav")
    (tmp_path / "closed").chmod(0)
    try:
        if os.access(tmp_path / "closed", os.R_OK):
            pytest.skip("this user may read everything")
        found = find(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert found.failures[0].path == str(tmp_path / "closed")


def test_agent_and_time_come_from_the_name(tmp_path: Path) -> None:
    put(tmp_path, "AGENT_ChrisL_DT_2025-02-19T06-01-22.wav")
    found = find(tmp_path)
    info = only(found).info
    assert (info.call_id, info.agent_id) == ("", "ChrisL")
    assert str(info.started_at) == "2025-02-19 06:01:22+01:00"
    assert found.notes == (
        "times in file names that name no zone: 1, taken as Europe/Warsaw (house.timezone in the settings)",
    )


def test_names_that_tell_nothing_are_counted_in_one_line(tmp_path: Path) -> None:
    put(tmp_path, "a.wav", "b.wav", "AGENT_Ann_DT_2025-02-19T06-01-22.wav")
    found = find(tmp_path)
    assert [source.info.agent_id for source in found.sources] == ["Ann", "unknown", "unknown"]
    assert sum("does not tell the agent" in note for note in found.notes) == 1


FREEPBX = Ingest(
    file_name=r"(?P<direction>in|out)-(?P<line>\d+)-(?P<agent_id>\d+)-(?P<started_at>\d{8}-\d{6})-(?P<epoch>[\d.]+)"
)


def test_case_12_local_time_and_epoch_in_one_name_are_one_moment(tmp_path: Path) -> None:
    put(tmp_path, "out-200-310-20250610-141500-1749539700.55.wav")
    info = only(find(tmp_path, settings=FREEPBX)).info
    assert info.started_at is not None
    assert info.started_at.replace(microsecond=0) == datetime(2025, 6, 10, 7, 15, tzinfo=UTC)
    assert str(info.started_at)[:16] == "2025-06-10 14:15"
    assert (info.agent_id, info.direction, info.extra) == ("310", "out", {"line": "200"})
    assert info.notes == ()


def test_case_12_two_times_in_a_name_that_differ_are_noted(tmp_path: Path) -> None:
    put(tmp_path, "out-200-310-20250610-143700-1749539700.55.wav")
    info = only(find(tmp_path, settings=FREEPBX)).info
    assert info.started_at is not None
    assert info.started_at.astimezone(UTC).hour == 7
    assert "holds two times that differ" in info.notes[0]


def test_case_12_seconds_since_1970_alone(tmp_path: Path) -> None:
    put(tmp_path, "1749539700.wav")
    info = only(find(tmp_path, settings=Ingest(file_name=r"^(?P<started_at>\d{10})$"))).info
    assert info.started_at == datetime(2025, 6, 10, 7, 15, tzinfo=UTC)


def test_case_12_the_doubled_hour_in_a_name_is_noted(tmp_path: Path) -> None:
    put(tmp_path, "AGENT_A_DT_2024-10-27T02-30-00.wav")
    info = only(find(tmp_path)).info
    assert info.started_at == datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Etc/GMT-2"))
    assert "came twice" in info.notes[0]


def test_a_time_in_a_name_that_is_none_is_noted(tmp_path: Path) -> None:
    put(tmp_path, "AGENT_A_DT_2025-02-30T06-01-22.wav")
    info = only(find(tmp_path)).info
    assert (info.agent_id, info.started_at) == ("A", None)
    assert "cannot be read" in info.notes[0]


def test_a_pattern_that_is_none_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    put(tmp_path, "a.wav")
    with pytest.raises(BadSettings, match="no regular expression"):
        find(tmp_path, settings=Ingest(file_name="(?P<agent_id"))


def test_two_files_of_a_pair_are_one_call_agent_first(tmp_path: Path) -> None:
    put(tmp_path, "1-in.wav", "1-out.wav", "2_caller.mp3", "2_agent.wav", "3_agent.wav", "3_customer.wav")
    put(tmp_path, "4-IN.WAV", "4-OUT.WAV", "sub/1-in.wav")
    assert names(find(tmp_path)) == [
        "1-out.wav|1-in.wav",
        "2_agent.wav|2_caller.mp3",
        "3_agent.wav|3_customer.wav",
        "4-OUT.WAV|4-IN.WAV",
        "1-in.wav",
    ]


def test_a_pair_is_named_by_what_its_files_share(tmp_path: Path) -> None:
    stem = "AGENT_ChrisL_DT_2025-02-19T06-01-22"
    put(tmp_path, f"{stem}-in.wav", f"{stem}-out.wav")
    assert only(find(tmp_path)).info.agent_id == "ChrisL"


def test_a_pair_may_be_given_file_by_file(tmp_path: Path) -> None:
    put(tmp_path, "1-in.wav", "1-out.wav")
    assert names(find(tmp_path / "1-in.wav", tmp_path / "1-out.wav")) == ["1-out.wav|1-in.wav"]


def test_half_a_pair_is_a_call_with_a_note(tmp_path: Path) -> None:
    put(tmp_path, "1-in.wav")
    source = only(find(tmp_path))
    assert len(source.paths) == 1
    assert source.info.notes == ("1-out.wav is not there: of this pair, only one party's file was found",)


def test_of_doubled_halves_those_of_one_kind_go_together(tmp_path: Path) -> None:
    put(tmp_path, "1-in.mp3", "1-in.wav", "1-out.mp3", "1-out.wav")
    assert names(find(tmp_path)) == ["1-out.mp3|1-in.mp3", "1-out.wav|1-in.wav"]


def test_a_pair_of_files_comes_out_as_two_channels(spoken: Path, tmp_path: Path) -> None:
    for name, copy in (("A.wav", "x-out.wav"), ("C.wav", "x-in.wav")):
        shutil.copy(spoken / name, tmp_path / copy)
        os.utime(tmp_path / copy, (LONG_AGO, LONG_AGO))
    recording = decode(only(find(tmp_path)))
    assert len(recording.samples) == 2
    assert recording.agent_channel == 0


def test_the_manifest_in_a_folder_names_the_calls_it_lists(tmp_path: Path) -> None:
    put(tmp_path, "audio/a.wav", "audio/b.wav", "audio/bad.wav", "extra.wav")
    (tmp_path / "manifest.csv").write_text(
        "path,call_id,agent_id,started_at\naudio/b.wav,c2,7,\naudio/a.wav,c1,007,\naudio/bad.wav,c3,7,never\n"
    )
    found = find(tmp_path)
    assert names(found) == ["b.wav", "a.wav", "extra.wav"]
    assert [source.info.agent_id for source in found.sources] == ["7", "007", "unknown"]
    assert [failure.call_id for failure in found.failures] == ["c3"], "and bad.wav is not scored beside it"
    assert f"{tmp_path}/manifest.csv lies in the folder and names the calls that it lists" in found.notes


def test_a_bad_manifest_in_a_folder_does_not_stop_its_recordings(tmp_path: Path) -> None:
    put(tmp_path, "a.wav")
    (tmp_path / "manifest.csv").write_text("agent\n7\n")
    found = find(tmp_path)
    assert names(found) == ["a.wav"]
    assert found.failures[0].path == str(tmp_path / "manifest.csv")


def test_a_bad_manifest_given_as_input_does(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("agent\n7\n")
    with pytest.raises(BadManifest):
        find(tmp_path / "manifest.csv")


def test_manifests_may_be_given_by_pattern_and_beside_their_folder(tmp_path: Path) -> None:
    put(tmp_path, "a.wav", "b.wav")
    (tmp_path / "one.csv").write_text("path,call_id\na.wav,c1\n")
    (tmp_path / "two.csv").write_text("path,call_id\nb.wav,c2\n")
    assert names(find(f"{tmp_path}/*.csv")) == ["a.wav", "b.wav"]
    found = find(tmp_path, tmp_path / "one.csv", tmp_path / "one.csv")
    assert [source.info.call_id for source in found.sources] == ["c1", ""]


def test_one_call_id_in_two_manifests_is_a_failure(tmp_path: Path) -> None:
    put(tmp_path, "mon/a.wav", "tue/b.wav")
    for day, name in (("mon", "a"), ("tue", "b")):
        (tmp_path / day / "manifest.csv").write_text(f"path,call_id\n{name}.wav,1001\n")
    found = find(tmp_path)
    assert names(found) == ["a.wav"]
    assert found.failures[0].reason == f"call_id 1001 is that of {tmp_path}/mon/a.wav already"


def test_case_38_square_brackets_in_names_are_no_pattern(tmp_path: Path) -> None:
    put(tmp_path, "call [urgent] 12.wav", "note [b].wav")
    assert names(find(tmp_path)) == ["call [urgent] 12.wav", "note [b].wav"]
    assert names(find(tmp_path / "call [urgent] 12.wav")) == ["call [urgent] 12.wav"]
    with pytest.raises(NoInput, match=re.escape("gone [x].wav")):
        find(tmp_path / "gone [x].wav")


def test_names_in_any_script_arrive(tmp_path: Path) -> None:
    put(tmp_path, "Иванова_01.wav", "Żaneta Łuczak.wav")
    assert sorted(names(find(tmp_path))) == ["Żaneta Łuczak.wav", "Иванова_01.wav"]


def test_a_name_that_is_no_text_is_a_failure(tmp_path: Path) -> None:
    put(tmp_path, "a.wav", "back\\slash.wav", "red\x1b[31m.wav")
    os.close(os.open(os.fsencode(tmp_path) + b"/\xfcbel.wav", os.O_CREAT))
    found = find(tmp_path)
    assert names(found) == ["a.wav", "back\\slash.wav"]
    assert [failure.path for failure in found.failures] == [
        f"{tmp_path}/red\\x1b[31m.wav",
        f"{tmp_path}/\\xfcbel.wav",
    ]
    assert msgspec.json.encode(found)


def test_what_was_found_travels_as_json(tmp_path: Path) -> None:
    put(tmp_path, "AGENT_ChrisL_DT_2025-02-19T06-01-22.wav", "1-in.wav")
    found = find(tmp_path)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Found) == found


def test_the_shared_calls_are_found_whole(shared: Path) -> None:
    found = find(shared / "calls" / "spoken")
    assert len(found.sources) == 48
    assert found.failures == ()
