"""The model card that travels with a detector, written from its config and measured figures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from detectors.detector import Config, Detector

from .config import TrainConfig

LIMITS = """\
- Speech only: music, singing and speech over music were not in the training data.
- Mostly English, then Chinese and Japanese; other languages are rare in the data.
- Fakes made by systems unlike those in the data are missed more often, and real speech through
  unusual channels (telephone, heavy noise, strong room) is called fake more often, than the
  figures say.
- A partly edited recording is found only where a window holds enough of the edit.
- A high or low probability is evidence, not proof. The figures above are the error rates to expect
  at best; somebody who knows the detector can fool it.
"""


def card(config: Config, recipe: TrainConfig, corpus: dict[str, Any]) -> str:
    """Markdown: what the detector is, what it learned from, how it did, and where it ends."""
    lines = [
        f"# {config.name}",
        "",
        f"Voice-spoofing detector: {config.architecture} on {config.frontend}, windows of "
        f"{config.window / 16_000:.2f} s, clip score by the {config.pooling} of its windows.",
        "Weights: Apache-2.0, trained by this project"
        + (f", starting from {recipe.credit}." if recipe.credit else "."),
        "",
        "## Data",
        "",
        "A research corpus of real and synthetic speech collected from the demonstration pages of",
        "published systems, with train, dev and test disjoint in speakers, systems and sources.",
        "The audio stays with its owners under their licences and is not part of this project;",
        "only weights and figures are. Copies of train's bona fide clips, by the fakers that the",
        "recipe names, joined as further spoofs.",
        "",
        f"{corpus['clips']} clips to learn from, {corpus['held']} to select and calibrate on; "
        f"corpus SHA-256 {corpus['corpus_hash'][:16]}.",
        "",
        "## Figures",
        "",
        *_table(config.figures),
        "",
        *_members(config),
        "## Limits",
        "",
        LIMITS,
        "## Recipe",
        "",
        "```json",
        json.dumps(dataclasses.asdict(recipe), indent=1),
        "```",
        "",
    ]
    return "\n".join(lines)


def record(folder: Path, evaluation: dict[str, Any], name: str) -> None:
    """Put one model's figures of an evaluation into a detector folder's config and card."""
    detector = Detector.open(folder)
    row = evaluation["models"][name]
    figures = {
        **row["pooled"],
        "same_source_eer": row["same_source"]["eer"],
        "same_source_eer_ci": row["same_source"]["eer_ci"],
        **{key: row[key] for key in ("cllr", "min_cllr", "min_dcf", "act_dcf")},
        **{key: row["at_dev_threshold"][key] for key in ("hter", "sensitivity", "specificity")},
    }
    split = evaluation["split"]
    config = dataclasses.replace(
        detector.config, figures={**detector.config.figures, split: figures}
    )
    old = (folder / "card.md").read_text()
    before, _, rest = old.partition("## Figures\n")
    _, _, after = rest.partition("## Limits\n")
    table = "\n".join([*_table(config.figures), "", *_members(config)])
    text = f"{before}## Figures\n\n{table}\n## Limits\n{after}"
    Detector(config, detector.net).save(folder, text)


def _table(figures: dict[str, Any]) -> list[str]:
    rows = [
        "| split | EER | 95 % interval | same-source EER | AUC | Cllr | clips |",
        "|---|---|---|---|---|---|---|",
    ]
    for split, f in figures.items():
        low, high = f["eer_ci"]
        same = f"{f['same_source_eer']:.1%}" if f.get("same_source_eer") is not None else ""
        rows.append(
            f"| {split} | {f['eer']:.1%} | {low:.1%} to {high:.1%} | {same} | {f['auc']:.3f} "
            f"| {f['cllr']:.2f} | {f['clips']} |"
        )
    return rows


def _members(config: Config) -> list[str]:
    """A fusion's members: what they weigh, and what dev says without each; else nothing."""
    members = {k: v for f in config.figures.values() for k, v in f.get("members", {}).items()}
    if not members:
        return []
    return [
        "| member | share | EER alone | EER of the fusion without it |",
        "|---|---|---|---|",
        *(
            f"| {name} | {m['share']:.0%} | {m['alone']:.1%} | {m['eer_without']:.1%} |"
            for name, m in members.items()
        ),
        "",
    ]
