"""A Report as the page's panels: name -> HTML. Pure functions, whose words are in templates/."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from markupsafe import Markup

from detectors import Waveform
from detectors.assessment import DetectorResult
from detectors.registry import Version
from detectors.stretches import in_words
from explain import Explanation, decisive_seconds
from explain.audit import Variant
from explain.explanation import by_size
from explain.replay import Evidence, Part

from . import figures, verdict
from .on_demand import AUDITED_S, MethodRun
from .pipeline import LARGEST_BYTES
from .rendering import render
from .report import EMPTY, Report
from .spectrogram import loudest_cells, spectrogram

NAMES = ("verdict", "seconds", "timeline", "bands", "detectors", "facts")
VARIANTS = {
    "original": "As it is",
    "trimmed": "Without the silence before and after",
    "quieter": "20 dB quieter",
    "louder": "6 dB louder",
    "narrow": "Nothing above 4 kHz",
    "mp3": "MP3 at 64 kbit/s",
    "shifted": "Begins 20 ms later",
    "noisy": "White noise 15 dB below it",
}
TAKES = {
    "alone": ("What decided", "cut out, nothing else"),
    "original": ("As it is", "the segment that was explained"),
    "kept": ("Only what decided", "all else is background"),
    "removed": ("Without what decided", "background in its place"),
}


def panels(report: Report, last: Report = EMPTY) -> dict[str, str]:
    """The panels that changed since `last`; all others stay as they are on the page."""
    shown = {"verdict": verdict_card(report)}
    scored = report.assessment is not last.assessment or report.waiting != last.waiting
    if scored or report.wave is not last.wave:
        shown["timeline"] = timeline_panel(report)
        shown["detectors"] = detectors_panel(report)
        shown["facts"] = facts_panel(report)
    if report.wave is not last.wave or report.seconds is not last.seconds or not report.step:
        shown["seconds"] = seconds_panel(report)
    if report.bands is not last.bands or not report.step:
        shown["bands"] = bands_panel(report)
    return shown


def nothing() -> dict[str, str]:
    """The page before any recording."""
    return dict.fromkeys(NAMES, "") | {"verdict": render("welcome", most_bytes=LARGEST_BYTES)}


def received(file: str, place: int = 0) -> dict[str, str]:
    """The page once a recording is there and until it is read; place: how many from its turn."""
    return dict.fromkeys(NAMES, "") | {"verdict": render("received", file=file, place=place)}


# --- the verdict and what it stands on ---


def verdict_card(report: Report) -> str:
    """The big word, P(fake), what its error rates mean, and whether the others agree."""
    if not report.results:
        return render("verdict", report=report, about=about(report))
    main = report.assessment.model(report.assessment.detector or report.names[0])
    # the band lies where it lay on dev, at even odds
    band = [100 / (1 + math.exp(-llr)) for llr in main.calibration.abstain]
    verdicts = [(result.name, result.verdict) for result in report.results]
    title = verdict.WORDS[main.verdict]
    return render(
        "verdict",
        report=report,
        about=about(report),
        title=f"{title}: {in_words(main.stretches)}" if main.stretches else title,
        prior=verdict.prior_in_words(report.assessment.prior),
        band=band,
        meaning=verdict.meaning(
            main.verdict,
            main.name,
            main.figures,
            report.assessment.prior,
            main.calibration.verdict(main.llr),
        ),
        agreement="" if report.waiting else verdict.agreement(verdicts),
    )


def about(report: Report) -> str:
    """The recording that is judged: its file and, once it is read, its length."""
    facts = report.assessment.facts
    length = "" if facts is None else figures.clock(round(facts.seconds, 1))
    return ", ".join(filter(None, (report.assessment.file, length)))


def detectors_panel(report: Report) -> str:
    """Table of the detectors' answers, with versions, error rates and times."""
    return render("detectors", report=report) if report.results else ""


def facts_panel(report: Report) -> str:
    """What the recording is, and what about it makes the verdict weaker."""
    if report.wave is None:
        return ""
    facts = report.wave.facts
    channels = {1: "mono", 2: "stereo"}.get(facts.channels, f"{facts.channels} channels")
    level = f"{20 * math.log10(facts.peak):+z.1f} dB" if facts.peak > 0 else "silence"
    rows = (
        ("Length", f"{facts.seconds:.1f} s, of which {facts.speech_seconds:.1f} s speech"),
        ("Format", f"{facts.container}, {facts.codec}, {facts.rate / 1000:g} kHz, {channels}"),
        ("Peak level", f"{level} of full scale"),
        ("Clipped", f"{100 * facts.clipped:.2g} % of the samples"),
        ("Sound reaches up to", f"{facts.bandwidth_hz / 1000:.1f} kHz"),
    )
    return render("facts", facts=rows, cautions=report.assessment.cautions)


def notices(sentences: Sequence[str]) -> str:
    """What is wrong with the registry, if something is."""
    return render("notices", sentences=sentences) if sentences else ""


def served(versions: Sequence[Version]) -> str:
    """Which versions are in service."""
    return render("served", versions=versions)


# --- what decided ---


def seconds_panel(report: Report) -> str:
    """Which seconds decided: the waveform, lit once the explanation is there."""
    if report.wave is None or report.assessment.error:
        return ""
    if report.seconds is None:
        return render("seconds", report=report, waveform=figures.waveform(report.wave))
    drawn = report.seconds.drawn
    return render(
        "seconds",
        report=report,
        shown=_part_shown(report, *_ends(drawn)),
        strongest=decisive_seconds(drawn),
        waveform=figures.waveform(report.wave, drawn),
    )


def timeline_panel(report: Report) -> str:
    """Evidence over a recording that is longer than one window of the main detector."""
    if report.wave is None or not report.results or len(report.results[0].windows) < 2:
        return ""
    main = report.results[0]
    return render(
        "timeline",
        name=main.name,
        timeline=figures.timeline(report.wave, main),
        stretches=in_words(main.stretches) if main.stretches else "",
        silences=any(report.wave.silences()),
    )


def bands_panel(report: Report) -> str:
    """Which frequencies decided, and when: the spectrogram under its saliency.

    For a detector that hears features of the voice, which of those decided. Where nothing decided
    for sure, the spectrogram alone.
    """
    if report.wave is None:
        return ""
    if report.bands is None:
        if report.step or not report.no_bands:
            return ""
        plain = spectrogram(report.wave, span=report.span)
        shown = _part_shown(report, *report.span)
        return render("bands", report=report, shown=shown, spectrogram=plain)
    drawn = report.bands.drawn
    if drawn.freqs is None:
        return render("bands", report=report, features=by_size(drawn))
    return render(
        "bands",
        report=report,
        strongest=loudest_cells(drawn),
        spectrogram=spectrogram(report.wave, drawn),
    )


def _ends(explanation: Explanation) -> tuple[float, float]:
    assert explanation.times is not None
    return float(explanation.times[0]), float(explanation.times[-1])


def _part_shown(report: Report, start: float, end: float) -> str:
    """Which seconds are drawn, where they are not all."""
    if report.wave is None or end - start > report.wave.facts.seconds - 0.01:
        return ""
    return f"Shown is {start:.1f} to {end:.1f} s, where the evidence for fake is strongest."


# --- on demand ---


def progress(step: str, share: float | None = None) -> str:
    """A bar while something runs; share: 0..1 of the way, None where nobody knows."""
    width = 100 if share is None else max(3, round(100 * share))
    return render(
        "progress", step=step, width=width, percent=f" {100 * share:.0f} %" if share else ""
    )


def problem(sentence: str) -> str:
    """Why there is nothing to show."""
    return render("problem", sentence=sentence)


def method_card(run: MethodRun, wave: Waveform) -> str:
    """The explanation by the method of one's choice, with how often this method is right."""
    if run.error:
        return problem(run.error)
    if run.view is None:
        return progress(f"{run.title} for {run.detector}", run.share)
    drawn = run.view.drawn
    rows: list[tuple[str, float]] = []
    figure = Markup()
    if drawn.times is None:
        rows = _named_values(drawn)
    elif drawn.freqs is None:
        figure = figures.waveform(wave, drawn)
    else:
        figure = spectrogram(wave, drawn)
    return render("method", view=run.view, rows=rows, figure=figure)


def _named_values(explanation: Explanation) -> list[tuple[str, float]]:
    """Bands from the highest down, as on a spectrogram's axis; groups the largest first."""
    if explanation.freqs is None:
        return by_size(explanation)
    khz = explanation.freqs / 1000
    rows = zip(khz[:-1], khz[1:], explanation.values, strict=True)
    return [(f"{low:.1f} to {high:.1f} kHz", float(value)) for low, high, value in rows][::-1]


def evidence_card(
    found: Evidence, result: DetectorResult, addresses: Mapping[str, str], prior: float
) -> str:
    """Whether the claim held, and a player for each version; addresses: of the sounds, by TAKES."""
    peak = float(np.abs(found.original.samples).max())
    versions = {"original": found.original, "kept": found.kept, "removed": found.removed}
    samples = {"alone": found.alone} | {kind: take.samples for kind, take in versions.items()}
    takes = [
        {
            "kind": kind,
            "title": title,
            "detail": detail,
            "address": addresses[kind],
            "waveform": figures.strip(samples[kind], peak, f"Waveform: {title}."),
            "llr": versions[kind].llr if kind in versions else None,
            "verdict": result.calibration.verdict(versions[kind].llr, prior)
            if kind in versions
            else None,
        }
        for kind, (title, detail) in TAKES.items()
    ]
    return render(
        "evidence",
        sentence=found.sentence,
        held=("failed", "partly", "held")[found.sufficient + found.necessary],
        takes=takes,
        parts=_parts_in_words(found.parts),
        name=result.name,
    )


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Parts of one band, what follows on each other as one, in the order of the strongest."""
    joined: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.low_hz, part.high_hz, part.start_s)):
        last = joined[-1] if joined else None
        same = last and (last.low_hz, last.high_hz) == (part.low_hz, part.high_hz)
        if last and same and part.start_s <= last.end_s + 0.001:
            value = last.value + part.value
            joined[-1] = replace(last, end_s=max(last.end_s, part.end_s), value=value)
        else:
            joined.append(part)
    return sorted(joined, key=lambda part: -abs(part.value))


def _parts_in_words(parts: Sequence[Part]) -> str:
    """The strongest decisive parts."""
    parts = _joined(parts)
    listed = [
        f"{part.start_s:.1f} to {part.end_s:.1f} s"
        + (f", {part.low_hz / 1000:.1f} to {part.high_hz / 1000:.1f} kHz" if _banded(part) else "")
        for part in parts[:3]
    ]
    return "; ".join(listed) + (f" and {len(parts) - 3} more" if len(parts) > 3 else "")


def _banded(part: Part) -> bool:
    return part.high_hz - part.low_hz < 7500


def audit_card(rows: Sequence[Variant], name: str, part: bool = False) -> str:
    """What the detector says about each version, with the verdicts that turned marked.

    part: were only the seconds round the strongest evidence scored?
    """
    return render(
        "audit",
        rows=rows,
        name=name,
        turned=[VARIANTS[row.name] for row in rows if row.flipped],
        seconds=round(AUDITED_S) if part else None,
        VARIANTS=VARIANTS,
    )
