"""The page's evidence as HTML: which seconds and frequencies decided, and how it went over time."""

from __future__ import annotations

from dataclasses import replace
from html import escape

import numpy as np

from detectors import Detector, Waveform
from explain import METHODS, Explanation, decisive_seconds
from explain.catalog import TIME, unasked
from explain.coalitions.pooling import passes_over
from explain.explanation import by_size
from explain.hit_rates import BAND, best

from . import figures
from .analysis import Opinion, Report, by_frequency, by_time, opinion_of, worst_window
from .cards import panel
from .methods import adds_up, hit_sentence, named, question
from .spectrogram import loudest_cells, spectrogram

PLAY = (
    '<div class="player"><button class="play" data-toggle '
    'aria-label="Play or pause">▶</button>'
    '<span class="clock" data-clock></span><span class="hint">as the detectors heard it: mono, '
    "16 kHz; click below to listen there</span></div>"
)


def seconds_panel(report: Report) -> str:
    """Which seconds decided: the waveform, lit once the explanation is there."""
    if report.wave is None or report.error is not None:
        return ""
    if report.seconds is None:
        said = f"<p>{escape(report.step)} …</p>" if report.step else _unlit(report)
        return panel("Which seconds decided", said + PLAY + figures.waveform(report.wave))
    opinion = opinion_of(report, report.explained)
    explanation = in_llr(opinion, report.seconds)
    chips = "".join(
        f'<button class="chip {figures.side(value)}" '
        f'data-play="{start:.3f}" data-until="{end:.3f}" '
        f'aria-label="Play {start:.1f} to {end:.1f} seconds, {figures.towards(value)}">'
        f"▶ {start:.1f} to {end:.1f} s <b>{figures.signed(value)}</b></button>"
        for start, end, value in decisive_seconds(explanation)
    )
    name = escape(report.explained)
    text = (
        f"<p>{question(explanation.method, 'stretch', f'<b>{name}</b>')}: "
        '<b class="fake">▲ towards fake</b>, <b class="real">▼ towards real</b>. '
        f"{_where(report)}</p>"
        f'<p class="chips">Strongest: {chips}</p>'
    )
    foot = _how(explanation, opinion.detector)
    foot += f" {hit_sentence(opinion.detector, opinion.name, explanation.method)}"
    picture = figures.waveform(report.wave, explanation)
    return panel("Which seconds decided", text + PLAY + picture, escape(foot))


def _unlit(report: Report) -> str:
    """Why no seconds are lit, where no method is good enough for the detector."""
    if report.explained not in report.names:
        return ""
    opinion, name = opinion_of(report, report.explained), escape(report.explained)
    if by_time(opinion):
        return ""
    second_best = best(opinion.detector, unasked(TIME))
    if second_best is None:
        return (
            f"<p>No seconds are lit: on recordings with planted edits no method finds the seconds "
            f"that turn <b>{name}</b> surely better than loudness or voice activity.</p>"
        )
    return (
        f"<p>No seconds are lit: on recordings with planted edits no method finds the seconds that "
        f"turn <b>{name}</b> well enough to light them unasked. “{escape(named(second_best))}” "
        "comes closest: it is under “Look closer”, with how often it is right.</p>"
    )


def _how(explanation: Explanation, detector: Detector) -> str:
    """What the values are, by their method, and what they add up to."""
    gone = "passed over" if passes_over(detector) else "replaced by background noise"
    said = METHODS[explanation.method].how.format(count=len(explanation.values), gone=gone)
    return " ".join((said, *adds_up(explanation, detector)))


def in_llr(opinion: Opinion, explanation: Explanation) -> Explanation:
    """Values in logit units -> units of the LLR that the table shows."""
    scale = opinion.config.calibration.scale
    stderr = None if explanation.stderr is None else abs(scale) * explanation.stderr
    return replace(
        explanation,
        values=scale * explanation.values,
        residual=abs(scale) * explanation.residual,
        stderr=stderr,
    )


def _where(report: Report) -> str:
    """Which part of a long recording is explained."""
    explanation = report.seconds
    if report.wave is None or explanation is None or explanation.times is None:
        return ""
    return _shown(report.wave, explanation.times[0], explanation.times[-1])


def _shown(wave: Waveform, start: float, end: float) -> str:
    """Which seconds are drawn, where they are not all."""
    if end - start > wave.facts.seconds - 0.01:
        return ""
    return f"Shown is {start:.1f} to {end:.1f} s, where the evidence for fake is strongest."


def bands_panel(report: Report) -> str:
    """Which frequencies decided, and when: the spectrogram under its saliency.

    For a detector that hears features of the voice, which of those decided.
    """
    if report.wave is None:
        return ""
    if report.bands is None:
        return _uncoloured(report, report.wave)
    opinion = opinion_of(report, report.explained)
    bands = in_llr(opinion, report.bands)
    if bands.freqs is None:
        return _features_panel(opinion, bands)
    picture = _over_window(bands, opinion, report.wave) if bands.times is None else bands
    text = (
        f"<p>The same stretch by frequency: the texture is the sound, colour is what moved "
        f"<b>{escape(report.explained)}</b>. Strongest: "
        f"{escape(loudest_cells(picture))}.</p>"
        '<label class="switch"><input type="checkbox" checked data-heat> Show what decided</label>'
    )
    hint = f"{named(bands.method)}: a map of where to listen, not a proof."
    foot = " ".join((_how(bands, opinion.detector), *bands.notes)) if bands.times is None else hint
    foot += f" {hit_sentence(opinion.detector, opinion.name, bands.method, BAND)}"
    drawn = spectrogram(report.wave, picture)
    return panel("Which frequencies decided", text + drawn, escape(foot))


def _uncoloured(report: Report, wave: Waveform) -> str:
    """The spectrogram as it is, where no method by frequency is good enough for the detector."""
    if report.step or report.error is not None or report.explained not in report.names:
        return ""
    opinion = opinion_of(report, report.explained)
    if by_frequency(opinion):
        return ""
    start, end = _window(opinion, wave)
    text = (
        f"<p>No frequencies are coloured: on recordings with an exchanged band no method finds the "
        f"band that turns <b>{escape(report.explained)}</b> surely better than loudness alone "
        f"does. {_shown(wave, start, end)}</p>"
    )
    return panel("The sound by frequency", text + spectrogram(wave, span=(start, end)))


def _features_panel(opinion: Opinion, groups: Explanation) -> str:
    text = (
        f"<p>How far each feature of the voice moved <b>{escape(opinion.name)}</b>'s answer, "
        'in LLR: <b class="fake">towards fake</b>, <b class="real">towards real</b>.</p>'
    )
    picture = figures.bars(by_size(groups))
    return panel(
        "Which features of the voice decided",
        text + picture,
        escape(_how(groups, opinion.detector)),
    )


def _over_window(bands: Explanation, opinion: Opinion, wave: Waveform) -> Explanation:
    """Values by band alone -> one column of a map, as wide as the window that was explained."""
    return replace(bands, values=bands.values[:, None], times=np.array(_window(opinion, wave)))


def _window(opinion: Opinion, wave: Waveform) -> tuple[float, float]:
    """Seconds of the window that is explained."""
    window = worst_window(opinion)
    return window.start_s, min(window.end_s, wave.facts.seconds)


def timeline_panel(report: Report) -> str:
    """Evidence over a recording that is longer than one window of the main detector."""
    if report.wave is None or not report.opinions or len(report.opinions[0].score.windows) < 2:
        return ""
    main = report.opinions[0]
    text = (
        f"<p>What <b>{escape(main.name)}</b> hears around each moment: above the line speaks for "
        "fake, below it for real; inside the grey band it cannot tell. Click to listen there.</p>"
    )
    plot = figures.timeline(report.wave, main.score, main.config.calibration)
    return panel("Over the whole recording", text + plot)


def sound(address: str) -> str:
    """The recording itself, at `address`, for the buttons and clicks on the evidence to play."""
    return f'<audio id="heard" preload="auto" src="{escape(address)}"></audio>'
