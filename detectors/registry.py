"""MLflow's model registry <-> detectors: register, resolve, load, promote, seed.

A version is a pyfunc model that any MLflow client can serve. Its tags hold the detector's digest,
by which measurements know it, and the SHA-256 of each of its files. `load` reads only those files,
checks them against the tags before it parses them, and executes nothing from the client.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import pyfunc_export
from .config import Config
from .detector import Detector
from .errors import HearsayError
from .files import sha256_of
from .folder import READ, files_of
from .mlflow_store import (
    experiment,
    interprocess_lock,
    mlflow_client,
    readable_errors,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHECKSUM = "sha256."  # how tags of a version begin that hold a file's SHA-256
INSIDE = re.compile(r"(members/[\w.-]+/)*(config\.json|weights\.safetensors)")
CHAMPION = "champion"
SEEDED = "seeded_champion"  # tag of a registered model: the champion is still `seed`'s choice
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # tracking URIs that are not a server


@dataclass(frozen=True)
class Version:
    """One version of a registered detector, as the registry describes it."""

    name: str
    version: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    seeded: bool = False  # is it the champion that `seed` has chosen, for want of a user's choice?

    @property
    def uri(self) -> str:
        """What `load` takes: models:/NAME/VERSION."""
        return f"models:/{self.name}/{self.version}"

    @property
    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file, as `checksums` gives it: equal ones are equal files."""
        return {tag: value for tag, value in self.tags.items() if tag.startswith(CHECKSUM)}


def check_name(name: str) -> None:
    """HearsayError for a name that no detector can have, such as a path."""
    if not re.fullmatch(r"[\w-]+", name):
        raise HearsayError(f"'{name}' cannot name a detector: use letters, digits, - and _.")


def register(
    folder: str | Path, name: str, *, run_id: str | None = None, tags: dict[str, str] | None = None
) -> int:
    """Register the detector in `folder` as the next version of `name`.

    Args:
        name: Of letters, digits, - and _.
        run_id: The MLflow run that trained it.

    Returns:
        The version's number.

    Raises:
        HearsayError: The folder does not open, the detector scores nothing, or MLflow fails.
    """
    check_name(name)
    folder = Path(folder)
    detector = Detector.open(folder)
    detector.check_runs()
    client = mlflow_client()
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    with readable_errors(), tempfile.TemporaryDirectory(prefix="hearsay-") as scratch:
        home = client.get_run(run_id).info.experiment_id if run_id else experiment("detectors")
        model = client.create_logged_model(home, name, run_id, model_type="detector")
        made = Model(model_id=model.model_id, artifact_path=model.artifact_location, run_id=run_id)
        target = Path(scratch, "model")
        pyfunc_export.write(folder, target, made)
        stored = target / pyfunc_export.INSIDE
        card = stored / "card.md"
        client.log_model_artifacts(model.model_id, str(target))
        client.finalize_logged_model(model.model_id, "READY")
        if run_id:
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        if all(row.name != name for row in _all_pages(client.search_registered_models)):
            client.create_registered_model(name)
        # a database store looks a model_id up in MLflow's process-wide store instead of this one
        direct = urlsplit(tracking_uri()).scheme.partition("+")[0] in DATABASES
        version = client.create_model_version(
            name,
            model.artifact_location,
            run_id,
            tags={**_tags(detector), **checksums(stored), **(tags or {})},
            description=card.read_text()[:5000] if card.is_file() else None,
            model_id=None if direct else model.model_id,
        ).version
        if direct:  # the link from the logged model to its version, which a server makes itself
            link = json.dumps([{"name": name, "version": int(version)}])
            client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": link})
        return int(version)


def checksums(folder: Path) -> dict[str, str]:
    """Tags that are checked before a file is parsed: SHA-256 of each one that `load` reads."""
    return {f"{CHECKSUM}{name}": sha256_of(path) for name, path in files_of(folder).items()}


def resolve(uri: str) -> Version:
    """The version that models:/NAME/VERSION or models:/NAME@ALIAS names."""
    match = re.fullmatch(r"models:/([^/@]+)(?:/(\d+)|@([^/@]+))", uri)
    if match is None:
        raise HearsayError(
            f"'{uri}' names no registered detector; write models:/cnn@champion or models:/cnn/3."
        )
    name, number, alias = match.groups()
    there = versions()
    for version in there:
        if version.name == name and (str(version.version) == number or alias in version.aliases):
            return version
    listed = ", ".join(v.uri for v in there) or "no detectors yet"
    raise HearsayError(f"The registry has no {uri}; it holds {listed}.")


def versions() -> list[Version]:
    """Every version of every registered detector, by name and number; no foreign models."""
    client = mlflow_client()
    with readable_errors():
        models = {row.name: row for row in _all_pages(client.search_registered_models)}
        rows: list[ModelVersion] = _all_pages(client.search_model_versions)
        ours = {row.name for row in rows if all(f"{CHECKSUM}{name}" in row.tags for name in READ)}
        ours &= models.keys()
        found = [_version(row, models[row.name]) for row in rows if row.name in ours]
    return sorted(found, key=lambda v: (v.name, v.version))


def champions() -> list[Version]:
    """The versions with the alias `champion`, one a name: what the page serves."""
    return [version for version in versions() if CHAMPION in version.aliases]


def load(uri: str) -> Detector:
    """Detector of models:/NAME@ALIAS or models:/NAME/VERSION, its files checked by SHA-256."""
    return open_version(resolve(uri))


def open_version(version: Version) -> Detector:
    """Detector of a resolved version; HearsayError when a file is missing or not the registered.

    The files are copied first, so that what was checked is what is opened.
    """
    with tempfile.TemporaryDirectory(prefix="hearsay-") as scratch:
        names = [tag.removeprefix(CHECKSUM) for tag in version.checksums]
        folder = _fetch(version, sorted({*READ, *filter(INSIDE.fullmatch, names)}), Path(scratch))
        try:
            detector = Detector.open(folder)
        except HearsayError as error:  # its sentence names the copy, which nobody knows
            raise HearsayError(f"{version.uri} cannot be opened: {error.__cause__}") from error
        detector.version = str(version.version)
        return detector


def promote(name: str, version: int, alias: str = CHAMPION, *, force: bool = False) -> None:
    """Give `alias` to a version.

    Raises:
        HearsayError: The version's files cannot be fetched, or do not make a detector that scores;
            or a new champion would be a step back: its dev EER lies above the upper end of the
            present champion's dev interval, or it has none. `force` promotes a step back as well.
    """
    detector = open_version(candidate := resolve(f"models:/{name}/{version}"))
    detector.check_runs()
    if alias == CHAMPION and not force:
        for champion in champions():
            if champion.name == name and champion.version != version:
                _compare(candidate, detector.config, champion)
    with readable_errors():
        client = mlflow_client()
        client.set_registered_model_alias(name, alias, str(version))
        if alias == CHAMPION:
            client.set_registered_model_tag(name, SEEDED, "no")  # `seed` respects this choice


def seed(folders: Iterable[Path]) -> None:
    """Register the bundled detector folders under their names, and make each of them champion.

    Files that are registered already are not registered again, and a champion that a user has
    chosen stays.
    """
    client = mlflow_client()
    with readable_errors(), interprocess_lock("seed"):
        for folder in folders:
            name, files = folder.name, checksums(folder)
            known = [v for v in versions() if v.name == name]
            same = [v.version for v in known if v.checksums == files]
            version = same[-1] if same else register(folder, name, tags={"seeded_from": "bundled"})
            model = client.get_registered_model(name)
            champion = str(model.aliases.get(CHAMPION, ""))
            ours = champion == model.tags.get(SEEDED)
            if champion != str(version) and (ours or not champion):
                client.set_registered_model_alias(name, CHAMPION, str(version))
                client.set_registered_model_tag(name, SEEDED, str(version))


def _fetch(version: Version, names: Iterable[str], target: Path) -> Path:
    """Copy files of a version's detector folder to `target`, each checked; returns `target`."""
    client = mlflow_client()
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with readable_errors():
        uri = client.get_model_version_download_uri(version.name, str(version.version))
        for name in names:
            file, place = f"{uri}/{pyfunc_export.INSIDE}/{name}", (target / name).parent
            place.mkdir(parents=True, exist_ok=True)
            try:
                path = download_artifacts(file, dst_path=str(place), tracking_uri=tracking_uri())
            except (MlflowException, OSError) as error:
                raise HearsayError(f"{name} of {version.uri} cannot be fetched.") from error
            if sha256_of(Path(path)) != version.checksums.get(f"{CHECKSUM}{name}"):
                raise HearsayError(
                    f"{name} of {version.uri} is not the file that was registered: its SHA-256 "
                    "differs from the version's tag, so it was not opened."
                )
    return target


def _compare(candidate: Version, config: Config, champion: Version) -> None:
    """HearsayError when the candidate is worse on dev than the champion's interval allows."""
    new, old = config.figures.get("dev", {}), _dev_figures(champion)
    if old.get("eer") is None:
        return  # nothing to compare with
    limit = (old.get("eer_ci") or [old["eer"]])[-1]  # too few speakers have no interval
    there = f"the champion, version {champion.version}, reaches {old['eer']:.1%}"
    if new.get("eer") is None:
        reason = f"states no dev EER, while {there}"
    elif new["eer"] > limit:
        reason = f"has a dev EER of {new['eer']:.1%}: {there} (at most {limit:.1%})"
    else:
        return
    raise HearsayError(f"{candidate.name} version {candidate.version} {reason}; use force.")


def _dev_figures(version: Version) -> dict[str, Any]:
    """Of a champion; none of one that is broken, which anything that works may replace."""
    with tempfile.TemporaryDirectory(prefix="hearsay-") as scratch:
        try:
            folder = _fetch(version, ["config.json"], Path(scratch))
            return dict(Config.read(folder / "config.json").figures.get("dev", {}))
        except (HearsayError, OSError):
            return {}


def _tags(detector: Detector) -> dict[str, str]:
    """What lets people choose a version in MLflow's own pages, and the digest that names it."""
    config = detector.config
    tags = {"architecture": config.architecture, "frontend": config.frontend}
    tags["digest"] = detector.digest
    for split, figures in config.figures.items():
        if figures.get("eer") is not None:
            interval = ", ".join(f"{bound:.4f}" for bound in figures.get("eer_ci") or ())
            tags[f"{split}.eer"] = f"{figures['eer']:.4f} [{interval or '-'}]"
    return tags


def _version(row: ModelVersion, model: RegisteredModel) -> Version:
    number = str(row.version)
    named = sorted(alias for alias, at in model.aliases.items() if str(at) == number)
    seeded = model.tags.get(SEEDED) == number
    return Version(row.name, int(number), tuple(named), dict(row.tags), seeded)


def _all_pages(search: Callable[..., Any]) -> list[Any]:
    page = search()
    rows = list(page)
    while page.token:
        rows += (page := search(page_token=page.token))
    return rows
