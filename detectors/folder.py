"""Detector folders: config.json, weights.safetensors and card.md, and a fusion's members/.

A fusion's config names its members by name and digest, and its own weights are those of the sum.
Each member is a whole folder, members/NAME. Where that is absent the bundled detector of the name
is meant, so that no weights are bundled twice; the digest says whether it is the one that the
fusion was fitted on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .config import Calibration, Config
from .errors import HearsayError, reason

BUNDLED = Path(__file__).parent / "bundled"
READ = ("config.json", "weights.safetensors")  # all that is ever read of a detector's own
CARD, MEMBERS = "card.md", "members"
ONE_FILE_MEMBER = ("name", "architecture", "options", "frontend", "frontend_options")


@dataclass(frozen=True, eq=False)
class Contents:
    """All that a detector is made of.

    Args:
        members: Of a fusion, in the order of its config.
    """

    config: Config
    weights: Mapping[str, Tensor]
    members: tuple[Contents, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 (64 hex digits) of what decides the answers: config and weights.

        Detectors of equal digest answer alike, whatever they are called and whatever was measured
        of them: the config's name and figures stay outside.
        """
        config = asdict(self.config)
        del config["name"], config["figures"]
        config["calibration"] = self.config.calibration.settings()
        if self.members:
            config["options"] = [member.digest for member in self.members]
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
        for name, weight in sorted(self.weights.items()):
            digest.update(f"{name} {weight.dtype} {tuple(weight.shape)} ".encode())
            digest.update(weight.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def read_folder(folder: Path) -> Contents:
    """What a detector's folder holds; executes nothing from it.

    Raises:
        ValueError, OSError, SafetensorError: A file is missing or wrong, or a member another one.
    """
    check_files(folder)
    config = Config.read(folder / "config.json")
    weights = {
        name: weight.float() if weight.dtype == torch.float16 else weight
        for name, weight in load_file(folder / "weights.safetensors").items()
    }
    if any("architecture" in spec for spec in _member_specs(config)):
        return _from_one_file(config, weights)
    members = []
    for name, digest in named_members(config).items():
        member = read_folder(_member_folder(folder, name))
        if member.digest != digest:
            raise ValueError(f"its member '{name}' is not the detector that it was fitted on")
        members.append(member)
    return Contents(config, weights, tuple(members))


def check_files(folder: Path) -> None:
    """HearsayError that names the first file that a detector folder lacks."""
    missing = [name for name in READ if not (folder / name).is_file()]
    if missing:
        raise HearsayError(f"{folder} holds no detector: {missing[0]} is missing.")


def write_folder(folder: Path, contents: Contents, card: str = "") -> None:
    """Write a detector's folder, members and all, which appears whole or not.

    Raises:
        HearsayError: The folder holds anything but a detector, or nothing can be written.
    """
    with _replaced(folder) as new:
        _write(new, contents, card)


def rewrite_figures(folder: Path, figures: dict[str, dict[str, Any]], card: str) -> None:
    """Write other figures and another card into a detector's folder; all else stays as it is.

    Raises:
        HearsayError: Nothing can be written.
    """
    config = replace(Config.read(folder / "config.json"), figures=figures)
    with _replaced(folder) as new:
        shutil.copytree(folder, new)
        _write_texts(new, config, card)


def rewrite_calibration(folder: Path, calibration: Calibration) -> None:
    """Write another calibration into a detector's folder; all else stays as it is.

    The detector's digest changes with it, so fusions that hold it have to be fitted again.

    Raises:
        HearsayError: Nothing can be written.
    """
    config = replace(Config.read(folder / "config.json"), calibration=calibration)
    with _replaced(folder) as new:
        shutil.copytree(folder, new)
        (new / "config.json").write_text(config.to_json() + "\n")


def files_of(folder: Path) -> dict[str, Path]:
    """Every file that opening a detector's folder reads: its name within, and where it lies."""
    check_files(folder)
    found = {name: folder / name for name in READ}
    for name in named_members(Config.read(folder / "config.json")):
        inside = files_of(_member_folder(folder, name))
        found |= {f"{MEMBERS}/{name}/{file}": path for file, path in inside.items()}
    return found


def copy_folder(folder: Path, target: Path) -> None:
    """Copy a detector's files byte by byte to `target`, with all of its members and cards."""
    for name, path in files_of(folder).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)
        card = path.with_name(CARD)
        if card.is_file():
            shutil.copyfile(card, (target / name).with_name(CARD))


def named_members(config: Config) -> dict[str, str]:
    """Names of a fusion's members and their digests; none of any other detector.

    Raises:
        ValueError: They are not names and digests, or a name is none or stands twice.
    """
    specs = [spec for spec in _member_specs(config) if "architecture" not in spec]
    names = [str(spec.get("name")) for spec in specs]
    if any({*spec} != {"name", "digest"} for spec in specs) or len({*names}) < len(names):
        raise ValueError("A fusion has members, each with name and digest, and no name twice.")
    for name in names:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError(f"'{name}' cannot name a member: use letters, digits, - and _.")
    return dict(zip(names, (str(spec["digest"]) for spec in specs), strict=True))


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """A path to write a detector's folder at; it takes the place of `folder` if all goes well."""
    folder = Path(os.path.realpath(folder))  # a link stays a link, and "." gets its name
    try:
        if folder.exists() and not _is_only_a_detector(folder):
            raise HearsayError(
                f"{folder} holds other things than a detector, so it was left alone."
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        owner = f".{os.getpid()}"  # by which `remove_scratch` knows what was left behind
        with tempfile.TemporaryDirectory(owner, ".detector-", folder.parent) as scratch:
            yield Path(scratch, "new")
            if folder.exists():
                os.rename(folder, Path(scratch, "old"))
            os.rename(Path(scratch, "new"), folder)
    except (OSError, SafetensorError) as error:
        raise HearsayError(f"No detector can be written to {folder}: {reason(error)}.") from error


def _is_only_a_detector(folder: Path) -> bool:
    """Does a folder, or that of a member, hold nothing beside what is written here?"""
    names = {*os.listdir(folder)}
    members = [*(folder / MEMBERS).iterdir()] if MEMBERS in names else []
    return names <= {*READ, CARD, MEMBERS} and all(
        member.is_dir() and _is_only_a_detector(member) for member in members
    )


def _write(folder: Path, contents: Contents, card: str = "") -> None:
    folder.mkdir(parents=True)
    weights = {name: _halved(weight).contiguous() for name, weight in contents.weights.items()}
    save_file(weights, folder / "weights.safetensors")
    (folder / "weights.safetensors").chmod(0o644)  # safetensors: for the owner alone
    _write_texts(folder, contents.config, card)
    for name, member in zip(named_members(contents.config), contents.members, strict=True):
        _write(folder / MEMBERS / name, member)


def _halved(weight: Tensor) -> Tensor:
    """In half precision where that holds every number exactly, as of networks that round theirs."""
    half = weight.half() if weight.dtype == torch.float32 else weight
    return half if half.to(weight.dtype).equal(weight) else weight


def _write_texts(folder: Path, config: Config, card: str) -> None:
    (folder / "config.json").write_text(config.to_json() + "\n")
    # a file name in the card may be of no encoding
    (folder / CARD).write_text(card, encoding="utf-8", errors="backslashreplace")


def _member_folder(folder: Path, name: str) -> Path:
    own = folder / MEMBERS / name
    return own if own.is_dir() else BUNDLED / name


def _member_specs(config: Config) -> list[dict[str, Any]]:
    """What a fusion's config says of its members; nothing of any other detector."""
    if config.architecture != "fusion":
        return []
    specs = config.options.get("members")
    if not specs or not isinstance(specs, list) or not all(isinstance(s, dict) for s in specs):
        raise ValueError("A fusion has members, each with name and digest.")
    return specs


def _from_one_file(config: Config, weights: Mapping[str, Tensor]) -> Contents:
    """A fusion as 0.1 first stored it: its members' structure as options, all weights together."""
    members = []
    for n, spec in enumerate(_member_specs(config)):
        if {*spec} != {*ONE_FILE_MEMBER}:
            raise ValueError(f"A fusion has members, each with {', '.join(ONE_FILE_MEMBER)}.")
        own = Config(**spec, window=config.window, level_normalise=config.level_normalise)
        prefix = f"nets.{n}."
        inside = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        members.append(Contents(own, inside))
    names = _folder_names([member.config.name for member in members])
    specs = [{"name": name, "digest": m.digest} for name, m in zip(names, members, strict=True)]
    rest = {name: weight for name, weight in weights.items() if not name.startswith("nets.")}
    return Contents(replace(config, options={"members": specs}), rest, tuple(members))


def _folder_names(names: list[str]) -> list[str]:
    """Names that folders can have, each once: once a member could be called anything."""
    clean = [re.sub(r"[^\w-]+", "-", name).strip("-") or "member" for name in names]
    if len({*clean}) == len(clean):
        return clean
    return [f"{name}-{n}" for n, name in enumerate(clean, 1)]
