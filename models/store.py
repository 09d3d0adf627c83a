"""Where model files lie on this machine, how they get there, and whether they are the published ones.

A model is a folder of that name, looked for in the folder that the user configures, then in the local
store (`WELLHEARD_MODELS`, else the user's data folder). Models that an installed package carries lie in
that package. Every file is hashed before its path is given out. Only `pull` uses the network.

A model of the hub has no hash in the catalogue: its folder holds `SHA256SUMS`, as `sha256sum` writes and
checks it, made at the first download. A house's own model needs the same file beside it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from platformdirs import user_data_path

from wellheard.models.catalog import CATALOG, DEFAULT_PULL, HUB, Model, ModelFile, Wheel
from wellheard.pipeline.errors import ModelDamaged, ModelMissing

SUMS = "SHA256SUMS"
# The kinds of file that Whisper and pyannote models of the hub consist of.
HUB_FILES = ("*.bin", "*.json", "*.txt", "*.yaml", "*.npz")
NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
CHUNK = 1 << 20

State = Literal["ok", "missing", "damaged"]


@dataclass(frozen=True)
class ModelRow:
    """One line of `wellheard models list`; `path` is None where the model is not on this machine."""

    name: str
    purpose: str
    source: str
    version: str
    licence: str
    size_bytes: int
    path: Path | None


@dataclass(frozen=True)
class FileRow:
    """One line of `wellheard models verify`."""

    name: str
    file: str
    state: State
    path: Path | None


def store_folder() -> Path:
    """The local store; it need not exist yet."""
    configured = os.environ.get("WELLHEARD_MODELS")
    return Path(configured) if configured else user_data_path("wellheard", appauthor=False) / "models"


def locate(name: str, folder: Path | None = None) -> Path:
    """Where a model lies: its file, or the folder of its files where it has several.

    `folder` is the user's own, looked into first. Every file is hashed first.

    Raises:
        ModelMissing: the model is not on this machine.
        ModelDamaged: a file is not the published one.
    """
    found = _find(name, folder)
    if found is None:
        raise _missing(name)
    for file, sha256 in found.sums.items():
        if _hash(found.folder / file) != sha256:
            raise ModelDamaged(
                f"The model file {found.folder / file} is not the published one", _repair(name)
            )
    return found.path


def fingerprint(name: str, folder: Path | None = None) -> str:
    """What tells this model from every other: a hash over its files' pinned hashes; reads no weights.

    Raises:
        ModelMissing: the model is not on this machine.
    """
    found = _find(name, folder)
    if found is None:
        raise _missing(name)
    lines = "".join(f"{sha256}  {file}\n" for file, sha256 in sorted(found.sums.items()))
    return f"{name}-{hashlib.sha256(lines.encode()).hexdigest()[:16]}"


def status(folder: Path | None = None) -> list[ModelRow]:
    """The models of the catalogue, and those pulled from the hub, with where they lie; hashes nothing."""
    rows = []
    for model in CATALOG.values():
        found = _find(model.name, folder)
        rows.append(
            ModelRow(
                name=model.name,
                purpose=model.purpose,
                source="PyPI " + ", ".join(wheel.package for wheel in model.wheels),
                version=", ".join(dict.fromkeys(wheel.version for wheel in model.wheels)),
                licence=model.licence,
                size_bytes=model.size,
                path=found.path if found else None,
            )
        )
    for name in _pulled_from_hub(folder):
        found = _find(name, folder)
        assert found is not None
        rows.append(
            ModelRow(
                name=name,
                purpose="as its page on the hub says",
                source=f"Hugging Face hub {HUB.get(name, name)}",
                version=fingerprint(name, folder).rpartition("-")[2],
                licence="see its page on the hub",
                size_bytes=sum((found.folder / file).stat().st_size for file in found.sums),
                path=found.path,
            )
        )
    return rows


def verify(names: Sequence[str] = (), folder: Path | None = None) -> list[FileRow]:
    """Hash all files of the named models, or of all, and say which are what they should be."""
    rows: list[FileRow] = []
    for name in names or (*CATALOG, *_pulled_from_hub(folder)):
        found = _find(name, folder)
        if found is None:
            files = [file.name for file in CATALOG[name].files] if name in CATALOG else [""]
            rows.extend(FileRow(name, file, "missing", None) for file in files)
            continue
        for file, sha256 in found.sums.items():
            path = found.folder / file
            rows.append(FileRow(name, file, "ok" if _hash(path) == sha256 else "damaged", path))
    return rows


def pull(
    names: Sequence[str] = DEFAULT_PULL,
    token: str | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Get the named models into the local store, those that are not there whole; returns where they lie.

    Models of the catalogue come from PyPI by pip, others from the Hugging Face hub, with `token` where the
    repository asks for one. `on_progress` is given a line for people whenever something long starts.

    Raises:
        ModelMissing: a model cannot be fetched, or the name is none.
        ModelDamaged: what was fetched is not what was published.
    """
    absent = [name for name in dict.fromkeys(names) if not _whole(name)]
    if absent:
        store = store_folder()
        store.mkdir(parents=True, exist_ok=True)
        lock = FileLock(store / ".lock")
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            on_progress("Another pull is running; waiting for it")
            held = lock.acquire()
        with held:
            for leftover in store.glob(".pull-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=store, prefix=".pull-") as staging:
                downloads = _Downloads(Path(staging), on_progress)
                for name in absent:
                    if not _whole(name):
                        _fetch(name, store, Path(staging), downloads, token, on_progress)
    return [locate(name) for name in dict.fromkeys(names)]


@dataclass(frozen=True)
class _Found:
    folder: Path
    path: Path
    sums: dict[str, str]


def _find(name: str, folder: Path | None) -> _Found | None:
    """The first place that holds all files of the model."""
    model = CATALOG.get(name)
    if model is None and not NAME.fullmatch(name):
        raise ModelMissing(f"{name!r} is no name of a model", "`wellheard models list` shows the names.")
    for place in (*([folder] if folder else []), store_folder()):
        here = place / name
        sums = {file.name: file.sha256 for file in model.files} if model else _read_sums(here)
        if sums and all((here / file).is_file() for file in sums):
            return _Found(here, here / next(iter(sums)) if len(sums) == 1 else here, sums)
    if model is not None and model.installed:
        return _find_installed(model)
    return None


def _find_installed(model: Model) -> _Found | None:
    sums = {}
    for file in model.files:
        (part,) = file.parts
        try:
            path = Path(str(metadata.distribution(part.wheel.package).locate_file(part.path)))
        except metadata.PackageNotFoundError:
            return None
        if not path.is_file():
            return None
        sums[path.name] = file.sha256
    return _Found(path.parent, path if len(sums) == 1 else path.parent, sums)


def _read_sums(folder: Path) -> dict[str, str]:
    """What `SHA256SUMS` lists; nothing where there is no such file, or where it names files elsewhere."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    sums = {}
    for line in lines:
        sha256, _, file = line.partition(" ")
        file = file[1:]  # a blank or an asterisk: text or binary, which is the same here
        if file == SUMS or not re.fullmatch(r"[0-9a-f]{64}", sha256):
            continue
        if not (folder / file).resolve().is_relative_to(folder.resolve()):
            return {}
        sums[file] = sha256
    return sums


def _pulled_from_hub(folder: Path | None) -> list[str]:
    names = {
        sums.parent.relative_to(place).as_posix(): None
        for place in (*([folder] if folder else []), store_folder())
        for pattern in (f"*/{SUMS}", f"*/*/{SUMS}")
        for sums in sorted(place.glob(pattern))
        if _read_sums(sums.parent) and not sums.parent.relative_to(place).as_posix().startswith(".")
    }
    return [name for name in names if name not in CATALOG and _find(name, folder)]


def _whole(name: str) -> bool:
    try:
        locate(name)
    except ModelMissing:
        return False
    except ModelDamaged:
        if name in CATALOG and CATALOG[name].installed:
            raise
        return False
    return True


def _missing(name: str) -> ModelMissing:
    reason = f"The model {name} is not on this machine"
    if name in CATALOG and CATALOG[name].installed:
        return ModelMissing(reason, _repair(name))
    return ModelMissing(reason, f"Get it with `wellheard models pull {name}`.")


def _repair(name: str) -> str:
    model = CATALOG.get(name)
    if model is not None and model.installed:
        (wheel,) = model.wheels
        return f"Install its package anew: pip install --force-reinstall {wheel.package}=={wheel.version}."
    return f"Get it anew with `wellheard models pull {name}`; in a folder of your own, replace it there."


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fetch(
    name: str,
    store: Path,
    staging: Path,
    downloads: "_Downloads",
    token: str | None,
    on_progress: Callable[[str], None],
) -> None:
    """Build the model in the staging folder, check it, and move it into the store in one step."""
    made = staging / "models" / name
    made.mkdir(parents=True)
    if name not in CATALOG:
        on_progress(f"{name}: fetching from the Hugging Face hub")
        _from_hub(name, made, token)
    elif CATALOG[name].installed:
        raise _missing(name)
    else:
        on_progress(f"{name}: {CATALOG[name].size / 1e6:.0f} MB from PyPI")
        for file in CATALOG[name].files:
            _unpack(file, downloads, made / file.name)
            if _hash(made / file.name) != file.sha256:
                raise ModelDamaged(
                    f"{file.name} of {name}, as downloaded, is not the published file",
                    "Try again; if it stays so, the package index delivers something else than PyPI does.",
                )
    target = store / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(staging / f"old-{name.replace('/', '-')}")
    made.rename(target)


class _Downloads:
    """Wheels fetched by pip during one pull, each at most once."""

    def __init__(self, staging: Path, on_progress: Callable[[str], None]) -> None:
        self._folder = staging / "wheels"
        self._on_progress = on_progress
        self.wheel = cache(self._download)

    def _download(self, wheel: Wheel) -> Path:
        destination = self._folder / wheel.package
        self._on_progress(f"downloading {wheel.package} {wheel.version}")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
        command += ["--disable-pip-version-check", "--no-cache-dir", "--quiet", "--retries", "2"]
        command += ["--dest", str(destination)]
        if wheel.python and wheel.platform:
            command += ["--python-version", wheel.python, "--platform", wheel.platform]
        result = subprocess.run(
            [*command, f"{wheel.package}=={wheel.version}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        wheels = list(destination.glob("*.whl"))
        if result.returncode or len(wheels) != 1:
            said = [line for line in result.stderr.splitlines() if line.startswith("ERROR:")]
            raise ModelMissing(
                f"pip could not download {wheel.package} {wheel.version}"
                + (f" ({said[0].removeprefix('ERROR:').strip()})" if said else ""),
                "Check the network and which package index pip uses, then try again; "
                f"or copy {store_folder()} from a machine that has the models.",
            )
        return wheels[0]


def _unpack(file: ModelFile, downloads: _Downloads, target: Path) -> None:
    """Join the members of a model file; names inside a wheel never become paths on this machine."""
    with target.open("wb") as joined:
        for part in file.parts:
            try:
                with (
                    zipfile.ZipFile(downloads.wheel(part.wheel)) as archive,
                    archive.open(part.path) as member,
                ):
                    # One byte too many fails by its hash, and what swells does not fill the disk.
                    while (room := file.size + 1 - joined.tell()) and (
                        chunk := member.read(min(room, CHUNK))
                    ):
                        joined.write(chunk)
            except (KeyError, zipfile.BadZipFile) as error:
                raise ModelDamaged(
                    f"{part.wheel.package} {part.wheel.version}, as downloaded, lacks {part.path}",
                    "Try again; if it stays so, the package index delivers something else than PyPI does.",
                ) from error


def _from_hub(name: str, target: Path, token: str | None) -> None:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    repository = HUB.get(name, name)
    if "/" not in repository:
        raise ModelMissing(
            f"There is no model {name}",
            "`wellheard models list` shows the names; a model of the Hugging Face hub is named OWNER/NAME.",
        )
    try:
        snapshot_download(repository, local_dir=target, token=token, allow_patterns=list(HUB_FILES))
    except GatedRepoError as error:
        raise ModelMissing(
            f"The hub gives {repository} only to those who accepted its conditions",
            f"Accept them on its page at huggingface.co, then `wellheard models pull {name} --token TOKEN`.",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelMissing(
            f"The hub has no {repository}, or shows it only with a token",
            "Check the name; for a private one add --token TOKEN.",
        ) from error
    except Exception as error:  # the hub's client lets its HTTP library's errors through
        raise ModelMissing(
            f"{repository} could not be fetched from the Hugging Face hub ({type(error).__name__})",
            f"Check the network, then try again; or copy {store_folder() / name} from a machine that has it.",
        ) from error
    shutil.rmtree(target / ".cache", ignore_errors=True)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    if not files:
        raise ModelMissing(f"The hub's {repository} holds no model files", "Check the name.")
    lines = [f"{_hash(path)}  {path.relative_to(target).as_posix()}\n" for path in files]
    (target / SUMS).write_text("".join(lines), encoding="utf-8")
