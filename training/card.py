"""The model card that travels with a detector, written from its config and measured figures."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpora.manifest import Clip, corpus_hash
from detectors.config import Change, Config
from detectors.detector import Detector
from detectors.errors import HearsayError
from detectors.folder import rewrite_figures
from detectors.tables import cell, table
from evaluation.evaluate import folder_of
from evaluation.robustness import LONG_SILENCES, SILENCES

from .recipe import FusionRecipe, Recipe

LIMITS = """\
- Made for speech: what it says of music, singing or speech over music means nothing.
- Fakes made by systems unlike those in the data are missed more often, and real speech through
  unusual channels (telephone, heavy noise, strong room) is called fake more often, than the
  figures say.
- A partly edited recording is found only where a window holds enough of the edit.
- A high or low probability is evidence, not proof. The figures above are the error rates to expect
  at best; somebody who knows the detector can fool it.
"""


def card(
    config: Config,
    recipe: Recipe,
    learn: Sequence[Clip],
    held: Sequence[Clip],
    data: str,
    licence: str = "",
) -> str:
    """Markdown: what the detector is, what it learned from, how it did, and where it ends.

    Args:
        config: The calibrated detector's.
        recipe: What made it.
        learn: Clips that it learned from (none of a fusion).
        held: Clips that it was selected and calibrated on.
        data: A sentence on the corpus.
        licence: Of the weights, if that is known.
    """
    if isinstance(recipe, FusionRecipe):
        credits = [recipe.credit, *(credit(folder_of(name)) for name in recipe.members)]
        recipe = dataclasses.replace(recipe, credit="; ".join(dict.fromkeys(filter(None, credits))))
    lines = [
        f"# {config.name}",
        "",
        f"Voice-spoofing detector: {config.architecture} on {config.frontend}, windows of "
        f"{config.window / 16_000:.2f} s, clip score by the {config.pooling} of its windows.",
        *_weights(recipe, licence),
        "",
        "## Data",
        "",
        data,
        "No speaker, system or source that the manifest names stands in two splits.",
        "",
        f"{_counts(recipe, learn, held)}; corpus SHA-256 {corpus_hash([*learn, *held])[:16]}.",
        "",
        "## Figures",
        "",
        *_figures(config),
        "## Limits",
        "",
        *_languages(learn or held),
        LIMITS,
        "## Recipe",
        "",
        "```json",
        json.dumps(dataclasses.asdict(recipe), indent=1),
        "```",
        "",
    ]
    return "\n".join(lines)


def credit(folder: Path) -> str:
    """Whose weights the detector in a folder started from, by its card; "" if that says nothing."""
    text = (folder / "card.md").read_text() if (folder / "card.md").is_file() else ""
    line = re.search(r'^ "credit": (".*")', text, re.MULTILINE)  # of its recipe
    return str(json.loads(line[1])) if line else ""


def _weights(recipe: Recipe, licence: str) -> list[str]:
    """A line on licence and origin, as far as they are known."""
    whose = "its members" if isinstance(recipe, FusionRecipe) else "training"
    origin = recipe.credit and f"{whose} started from {recipe.credit}"
    parts = [part for part in (licence, origin) if part]
    return [f"Weights: {'; '.join(parts)}."] if parts else []


def _counts(recipe: Recipe, learn: Sequence[Clip], held: Sequence[Clip]) -> str:
    if isinstance(recipe, FusionRecipe):
        return f"Fitted on the {len(held)} clips of dev"
    copies = sum(bool(clip.original) for clip in learn)
    by = f" by {', '.join(recipe.copies)}" if recipe.copies else ""
    of_them = f" ({copies} of them copies of bona fide ones{by})" if copies else ""
    return f"{len(learn)} clips to learn from{of_them}, {len(held)} to select and calibrate on"


def _languages(clips: Sequence[Clip]) -> list[str]:
    known = Counter(clip.language for clip in clips if clip.language).most_common(3)
    names = ", ".join(name for name, _ in known)
    return [f"- Mostly {names}; other languages are rare in the data, or absent."] if names else []


def record(folder: Path, evaluation: dict[str, Any], name: str | None = None) -> None:
    """Put one model's figures of an evaluation into a detector folder's config and card.

    name: the model's in the evaluation; the one of the folder's detector if None. Raises
    HearsayError where the figures are of other weights, of the dev split of a fusion, or there
    is no card, and KeyError or TypeError for what is no evaluation.
    """
    detector = Detector.open(folder)
    row = _row(evaluation["models"], name, folder, detector.digest[:12])
    split = evaluation["split"] or "all"
    if split == "dev" and detector.members:
        raise HearsayError(
            f"{folder} was fitted on dev: its figures there are cross-fitted, and those of an "
            "evaluation would flatter it. They were left as they are."
        )
    figures = {
        **row["pooled"],
        "same_source_eer": row["same_source"]["eer"],
        "same_source_eer_ci": row["same_source"]["eer_ci"],
        **{key: row[key] for key in ("cllr", "min_cllr", "min_dcf", "act_dcf")},
        **{key: row["at_dev_threshold"][key] for key in ("hter", "sensitivity", "specificity")},
        "by_family": {family: own["eer"] for family, own in row["by_family"].items()},
        "verdicts": row["verdicts"],
    }
    _rewrite(folder, detector.config, split, figures)


def record_changes(folder: Path, robustness: dict[str, Any]) -> None:
    """Put what `hearsay robustness` says of a detector folder's weights into its config and card.

    robustness: its --json. Raises HearsayError where it says nothing of them, or there is no card,
    and KeyError or TypeError for what is no such file.
    """
    detector = Detector.open(folder)
    version = detector.digest[:12]
    rows = {
        row["perturbation"]: Change(
            median=row["value"], ci=(row["low"], row["high"]), p90=row["p90"], clips=row["n"]
        )
        for row in robustness["changes"]
        if row["version"] == version
    }
    if not rows:
        raise HearsayError(f"The file says nothing of the weights in {folder} ({version}).")
    silences = [rows.pop(name) for name in SILENCES | LONG_SILENCES if name in rows]
    if silences:
        rows["silence put in, at worst"] = max(
            silences, key=lambda change: (change["median"], change["p90"])
        )
    _rewrite(folder, detector.config, robustness["split"] or "all", {"robustness": rows})


def _rewrite(folder: Path, config: Config, split: str, figures: dict[str, Any]) -> None:
    """Figures of a split beside those that are there, in a folder's config and card."""
    of_split = config.figures.get(split, {}) | figures
    config = dataclasses.replace(config, figures={**config.figures, split: of_split})
    rewrite_figures(folder, config.figures, with_figures(folder, config))


def with_figures(folder: Path, config: Config) -> str:
    """The card in a detector's folder with the figures of a config in the place of its own.

    Raises:
        HearsayError: There is no card.
    """
    if not (folder / "card.md").is_file():
        raise HearsayError(f"{folder} has no card.md to write the figures into.")
    before, _, rest = (folder / "card.md").read_text().partition("## Figures\n")
    _, _, after = rest.partition("## Limits\n")
    tables = "\n".join(_figures(config))
    return f"{before}## Figures\n\n{tables}\n## Limits\n{after}"


def _row(models: dict[str, Any], name: str | None, folder: Path, version: str) -> dict[str, Any]:
    """The figures under a name, or those of the folder's detector, which they must be of."""
    if name is None:
        name = next((n for n, row in models.items() if row["version"] == version), str(folder))
    if name not in models:
        raise HearsayError(
            f"The evaluation holds no '{name}', but {', '.join(models)}. Evaluate {folder} itself."
        )
    row: dict[str, Any] = models[name]
    if row["version"] != version:
        raise HearsayError(
            f"The figures of '{name}' are those of version {row['version']}, not of the weights in "
            f"{folder} ({version}). Evaluate {folder} itself."
        )
    if row["pooled"]["eer"] is None:
        raise HearsayError(f"The evaluation has too few clips for an error rate of '{name}'.")
    return row


def _figures(config: Config) -> list[str]:
    """All that stands under Figures."""
    return [*_table(config.figures), "", *_members(config), *_changes(config)]


def _table(figures: dict[str, Any]) -> list[str]:
    """Error rates in %, a row a split."""
    head = ["split", "EER in % [95 %]", "same-source EER", "AUC", "Cllr", "clips"]
    rows = [
        [
            split,
            cell(f["eer"], f["eer_ci"], ".1%"),
            cell(f.get("same_source_eer"), f.get("same_source_eer_ci"), ".1%"),
            cell(f["auc"], form=".3f"),
            cell(f["cllr"]),
            str(f["clips"]),
        ]
        for split, f in figures.items()
        if "eer" in f
    ]
    return [table(head, rows)]


def _changes(config: Config) -> list[str]:
    """How far harmless changes move the LLR; nothing where that was not measured."""
    head = ["harmless change", "split", "median change of LLR [95 %]", "90 %", "clips"]
    rows = [
        [name, split, cell(c["median"], c["ci"]), cell(c["p90"]), str(c["clips"])]
        for split, figures in config.figures.items()
        for name, c in figures.get("robustness", {}).items()
    ]
    return [table(head, rows), ""] if rows else []


def _members(config: Config) -> list[str]:
    """A fusion's members: what they weigh, and what dev says without each; else nothing."""
    members = {k: v for f in config.figures.values() for k, v in f.get("members", {}).items()}
    if not members:
        return []
    head = ["member", "share in %", "EER alone", "EER of the fusion without it"]
    rows = [
        [
            name,
            cell(m["share"], form=".0%"),
            *(cell(m[key], form=".1%") for key in ("alone", "eer_without")),
        ]
        for name, m in members.items()
    ]
    return [table(head, rows), ""]
