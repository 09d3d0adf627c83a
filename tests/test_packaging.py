"""Installed, everything is under `wellheard`; nothing called `models` or `pipeline` lands beside it."""

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT

FOLDERS = ("pipeline", "rubrics", "models", "training", "views")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout


def shipped(pattern):
    return sorted(
        path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob(pattern)
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of what is committed, without a network."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "cli.py"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                target = source / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    build = (
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
    )
    run(sys.executable, *build, "--wheel-dir", str(out), str(source))
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_one_top_level_name(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"wellheard"}


def test_the_wheel_ships_every_module_rubric_and_trained_file(wheel):
    names = {name.removeprefix("wellheard/") for name in zipfile.ZipFile(wheel).namelist()}
    kinds = ("py", "yaml", "json", "txt", "safetensors", "j2", "js", "css", "svg", "toml", "LICENSE")
    for kind in kinds:
        expected = set(shipped(f"*.{kind}"))
        assert expected - names == set()
    assert {"cli.py", "models/acts.safetensors", "rubrics/combination.json"} <= names


def test_the_wheel_ships_no_tests_and_no_sample_calls(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert not [
        name for name in names if "/tests/" in name or "/data/" in name or name.endswith((".wav", ".mp3"))
    ]


def test_the_installed_wheel_is_imported_as_wellheard(wheel, tmp_path):
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(tmp_path),
        str(wheel),
    )
    assert {path.name for path in tmp_path.iterdir() if not path.name.endswith(".dist-info")} == {
        "wellheard",
        "bin",
    }
    # -S leaves out the editable install's finder; the libraries are found by path alone.
    script = """
import importlib.util, sys
from wellheard import cli
from wellheard.pipeline import records
from wellheard.rubrics import loader
from wellheard.views import tables
assert [r.id for r in map(loader.load, ("pec", "script", "resolution"))] == ["pec", "script", "resolution"]
for bare in ("pipeline", "rubrics", "models", "training", "views", "cli"):
    assert importlib.util.find_spec(bare) is None, bare
print(cli.__file__, records.__file__, loader.__file__, tables.__file__)
"""
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    paths = ":".join([str(tmp_path), *libraries])
    places = run(sys.executable, "-S", "-c", script, cwd=tmp_path, env={"PYTHONPATH": paths}).split()
    assert all(Path(place).is_relative_to(tmp_path / "wellheard") for place in places)


def test_the_editable_install_is_imported_the_same_way(tmp_path):
    script = """
import importlib.util
from wellheard import cli
from wellheard.pipeline import records
for bare in ("pipeline", "rubrics", "models", "training", "views", "cli"):
    assert importlib.util.find_spec(bare) is None, bare
print(cli.__file__, records.__file__)
"""
    places = run(sys.executable, "-c", script, cwd=tmp_path).split()
    assert places == [str(ROOT / "cli.py"), str(ROOT / "pipeline" / "records.py")]


def test_the_script_and_the_console_command_are_one(tmp_path):
    command = Path(sys.executable).parent / "wellheard"
    version = f"wellheard {metadata.version('wellheard')}\n"
    assert run(sys.executable, str(ROOT / "cli.py"), "--version", cwd=tmp_path) == version
    assert run(str(command), "--version", cwd=tmp_path) == version
