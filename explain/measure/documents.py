"""`hearsay tables`: the tables in README and docs, written from the measurements that are shipped.

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`. Error rates come from the
bundled detectors' configs, as `hearsay card` recorded them, those of explanations from `measured/`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectors import BUNDLED, Detector, bundled
from detectors.errors import HearsayError
from detectors.files import write
from detectors.tables import cell, table

from ..catalog import METHODS, TIME, unasked
from ..hit_rates import BAND, best, figures, hit_rate

MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
VERDICTS = ("fake", "inconclusive", "real")
FAMILIES = ("vocoder", "codec", "tts", "vc", "classic")
BY_TIME = (
    "shapley-multigrid", "sliding-window", "shapley-time", "lime-time", "gradcam", "occlusion",
    "integrated-gradients", "gradient-shap",
)  # fmt: skip
BY_TIME_TOO = ("guided-gradcam", "shap-permutation", "saliency")
BY_BAND = ("shapley-bands", "band-inclusion", "gradcam", "guided-gradcam", "integrated-gradients")
PATCHES = ("owen-patches", "lime-patches", "shap-partition")
CHECKS = {
    "noise/deletion": "taken away (in random order)",
    "noise/insertion": "put back (in random order)",
    "stability/seed_stability": "another seed",
    "stability/mp3_stability": "as MP3",
    "stability/sensitivity to noise": "with noise",
    "stability/randomisation": "shuffled weights",
}


def update(paths: Sequence[Path]) -> list[Path]:
    """Write the marked tables in these documents anew.

    Returns:
        The documents that changed.

    Raises:
        HearsayError: A document cannot be read or written, or marks a table that is not known.
    """
    detectors = sorted(
        (Detector.open(BUNDLED / name) for name in bundled()),
        key=lambda detector: _test(detector)["eer"],
    )
    changed = []
    for path in paths:
        try:
            old = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise HearsayError(f"{path} cannot be read: {error}.") from error
        new = filled(old, detectors)
        if new != old:
            write(path, new)
            changed.append(path)
    return changed


def filled(text: str, detectors: Sequence[Detector]) -> str:
    """A document with its marked tables as the detectors' measurements have them.

    Tables of explanations leave out detectors whose explanations were not measured.
    """
    explained = [detector for detector in detectors if figures(detector)]

    def fill(mark: re.Match[str]) -> str:
        if mark[2] not in TABLES:
            raise HearsayError(f"There is no table '{mark[2]}'; there are {', '.join(TABLES)}.")
        rows = detectors if mark[2] in OF_SCORES else explained
        return f"{mark[1]}\n{TABLES[mark[2]](rows)}\n\n{mark[3]}"

    return MARKED.sub(fill, text)


def error_rates(detectors: Sequence[Detector]) -> str:
    """Equal error rates in % on test, by family of spoofs, and Cllr: a row a detector."""
    head = ["detector", "EER [95 %]", "same-source", *FAMILIES, "Cllr"]
    rows = []
    for detector in detectors:
        test = _test(detector)
        families = test.get("by_family", {})
        rows.append(
            [
                detector.config.name,
                cell(test["eer"], test["eer_ci"], ".1%"),
                cell(test["same_source_eer"], test["same_source_eer_ci"], ".1%"),
                *(cell(families.get(family), form=".0%") for family in FAMILIES),
                cell(test["cllr"]),
            ]
        )
    return table(head, rows)


def verdicts(detectors: Sequence[Detector]) -> str:
    """How many test clips the detector of the page's verdict calls what."""
    counts = _test(min(detectors, key=lambda detector: detector.config.rank))["verdicts"]
    names = {"spoof": "fakes", "bonafide": "real ones"}
    return table(
        ["", "likely fake", "inconclusive", "likely real"],
        [
            [f"{sum(own.values())} {names[label]}", *(str(own[v]) for v in VERDICTS)]
            for label, own in counts.items()
        ],
    )


def localisation(detectors: Sequence[Detector]) -> str:
    """Localisation AUC by time: a row a detector, a column a method, the page's in bold."""
    head = [f"{METHODS[m].title}{' [95 %]' if m in BY_TIME[:2] else ''}" for m in BY_TIME]
    rows = []
    for detector in detectors:
        chosen = best(detector, unasked(TIME))
        cells = [
            _auc(detector, method, TIME, method in BY_TIME[:2], method == chosen)
            for method in BY_TIME
        ]
        baseline = hit_rate(detector, "sliding-window", TIME)
        rows.append(
            [
                f"{detector.config.name} ({_edits(detector, TIME)})",
                *cells,
                cell(baseline.baseline_auc if baseline else None),
            ]
        )
    return table(["detector", *head, "knows nothing"], rows)


def by_fakers(detectors: Sequence[Detector]) -> str:
    """The page's method by time on fakers that training saw and did not see: a row a detector."""
    metrics = ("time seen/auc", "time unseen/auc", "time all/auc", "time/pointing", "time/chance")
    head = ["seen fakers", "unseen", "all edits, fake or not", "points into the edit", "chance"]
    return _by_page_method(detectors, dict(zip(metrics, head, strict=True)))


def checks(detectors: Sequence[Detector]) -> str:
    """Faithfulness, stability and sanity of the page's method by time: a row a detector."""
    return _by_page_method(detectors, CHECKS, count="noise/deletion")


def other_methods(detectors: Sequence[Detector]) -> str:
    """Localisation AUC of the other methods by time, and of those by band: a row a detector."""
    head = [METHODS[m].title for m in BY_TIME_TOO]
    head += [f"bands: {METHODS[m].title}{' [95 %]' if m in BY_BAND[:2] else ''}" for m in BY_BAND]
    rows = []
    for detector in detectors:
        cells = [_auc(detector, method, TIME) for method in BY_TIME_TOO]
        cells += [_auc(detector, method, BAND, method in BY_BAND[:2]) for method in BY_BAND]
        energy = figures(detector)["band-inclusion"].get(f"{BAND}/auc of energy", [None])[0]
        counts = ", ".join(str(_edits(detector, axis)) for axis in (TIME, BAND))
        rows.append([f"{detector.config.name} ({counts})", *cells, cell(energy)])
    return table(["detector", *head, "loudness alone"], rows)


def patches(detectors: Sequence[Detector]) -> str:
    """Localisation AUC of the methods by time and band at once: a row a detector."""
    head = [f"{part}: {METHODS[m].title}" for part in ("seconds", "bands") for m in PATCHES]
    rows = []
    for detector in detectors:
        if any(method in figures(detector) for method in PATCHES):
            counts = [hit_rate(detector, PATCHES[0], axis) for axis in (TIME, BAND)]
            edits = ", ".join(str(rate.n) for rate in counts if rate)
            cells = [_auc(detector, method, axis) for axis in (TIME, BAND) for method in PATCHES]
            rows.append([f"{detector.config.name} ({edits})", *cells])
    return table(["detector", *head], rows)


def _by_page_method(
    detectors: Sequence[Detector], metrics: Mapping[str, str], count: str = ""
) -> str:
    """A row a detector of figures of the method that the page begins with."""
    rows = []
    for detector in detectors:
        method = best(detector, unasked(TIME))
        own = figures(detector)[str(method)]
        cells = [_beside_chance(own, metric) for metric in metrics]
        clips = [str(own[count][3])] if count else []
        rows.append([f"{detector.config.name}, {method}", *clips, *cells])
    return table(["by the page's method", *(["clips"] if count else []), *metrics.values()], rows)


def _beside_chance(own: Mapping[str, Any], metric: str) -> str:
    value, random = (own.get(key, [None])[0] for key in (metric, f"{metric} at random"))
    return cell(value) if random is None else f"{cell(value)} ({cell(random)})"


def _edits(detector: Detector, axis: str) -> int:
    """The edits of an axis that the detector called fake, where most of them were measured."""
    rates = (hit_rate(detector, method, axis) for method in METHODS)
    return max((rate.n for rate in rates if rate), default=0)


def _auc(
    detector: Detector, method: str, axis: str, interval: bool = False, bold: bool = False
) -> str:
    rate = hit_rate(detector, method, axis)
    if rate is None:
        return "-"
    text = cell(rate.auc, rate.auc_interval if interval else None)
    return f"**{text}**" if bold else text


def _test(detector: Detector) -> dict[str, Any]:
    return detector.config.figures["test"]


TABLES: dict[str, Callable[[Sequence[Detector]], str]] = {
    "error-rates": error_rates,
    "verdicts": verdicts,
    "localisation": localisation,
    "by-fakers": by_fakers,
    "checks": checks,
    "other-methods": other_methods,
    "patches": patches,
}
OF_SCORES = ("error-rates", "verdicts")
