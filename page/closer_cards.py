"""The page's closer look as HTML: another method's map, the evidence to play, the audit's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from detectors import Detector, Waveform
from explain import Explanation
from explain.audit import Variant
from explain.explanation import by_size
from explain.hit_rates import BAND, beats_baselines
from explain.replay import Evidence, Part, Take

from . import figures, verdict
from .analysis import Report, opinion_of
from .cards import tone
from .closer import AUDITED_S, Look
from .evidence import in_llr
from .methods import adds_up, hit_sentence, named, question
from .spectrogram import spectrogram

INTRO = """
<h2>Look closer</h2>
<p class="hint">These take a moment, and start when you ask for them.</p>
"""
ASK_METHOD = """
<h3>Explain it another way</h3>
<p>Methods differ, and so does how often they are right. Only those are offered that suit the
detector and surely beat maps that know nothing about it, as far as they are measured.</p>
"""
ASK_EVIDENCE = """
<h3>Hear the evidence</h3>
<p>Is what the explanation points at really what decided? The decisive parts are played alone, kept
while everything else becomes background, and taken out; the detector scores each again.</p>
"""
ASK_AUDIT = """
<h3>Shortcut audit</h3>
<p>Does the verdict survive changes that leave the voice as it was? One that turns with the silence
at the edges, the level or the format leans on something other than the voice.</p>
"""
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
    "original": ("As it is", "the stretch that was explained"),
    "kept": ("Only what decided", "all else is background"),
    "removed": ("Without what decided", "background in its place"),
}


def working(said: str, share: float | None = None) -> str:
    """A bar while something runs; share: 0..1 of the way, None where nobody knows."""
    width = 100 if share is None else max(3, round(100 * share))
    percent = "" if not share else f" {100 * share:.0f} %"
    return (
        f'<div class="progress" role="status"><span>{escape(said)} …{percent}</span>'
        f'<div class="bar"><i style="width:{width}%"></i></div></div>'
    )


def sorry(sentence: str) -> str:
    """Why there is nothing to show."""
    return f'<p class="notice" role="status">{escape(sentence)}</p>'


# --- another method ---


def look_card(look: Look, report: Report, wave: Waveform) -> str:
    """The explanation by the method of one's choice, with how often this method is right."""
    if look.error:
        return sorry(look.error)
    if look.explanation is None:
        return working(f"{named(look.method)} for {look.name}", look.share)
    opinion = opinion_of(report, look.name)
    explanation = in_llr(opinion, look.explanation)
    costs = f"{explanation.forwards} passes, {explanation.seconds:.1f} s."
    limits = _limits(explanation, opinion.detector)
    both = explanation.times is not None and explanation.freqs is not None
    if both and not beats_baselines(opinion.detector, look.method, BAND):
        limits.append("By frequency it finds exchanged bands no better than loudness alone does.")
    notes = " ".join(escape(note) for note in (*limits, *explanation.notes, costs))
    return (
        f'<p class="hit">{escape(hit_sentence(opinion.detector, look.name, look.method))}</p>'
        f"<p>{question(look.method, 'part', f'<b>{escape(look.name)}</b>')}, in LLR: "
        '<b class="fake">towards fake</b>, <b class="real">towards real</b>.</p>'
        f'{_picture(explanation, wave)}<p class="foot">{notes}</p>'
    )


def _picture(explanation: Explanation, wave: Waveform) -> str:
    if explanation.times is None:
        return figures.bars(_named_values(explanation))
    if explanation.freqs is None:
        return figures.waveform(wave, explanation)
    return spectrogram(wave, explanation)


def _named_values(explanation: Explanation) -> list[tuple[str, float]]:
    """Bands from the highest down, as on a spectrogram's axis; groups the largest first."""
    if explanation.freqs is None:
        return by_size(explanation)
    khz = explanation.freqs / 1000
    rows = zip(khz[:-1], khz[1:], explanation.values, strict=True)
    return [(f"{low:.1f} to {high:.1f} kHz", float(value)) for low, high, value in rows][::-1]


def _limits(explanation: Explanation, detector: Detector) -> list[str]:
    """What a method promises about its figures, and how far they can be off."""
    said = adds_up(explanation, detector)
    if explanation.stderr is not None:
        said.append(f"Standard errors are up to {np.max(explanation.stderr):.2g}.")
    return said


# --- evidence ---


def evidence_card(
    found: Evidence, report: Report, name: str, addresses: Mapping[str, str], prior: float
) -> str:
    """Whether the claim held, and a player for each version; addresses: of the sounds, by TAKES."""
    peak = float(np.abs(found.original.samples).max())
    takes = {"original": found.original, "kept": found.kept, "removed": found.removed}
    rows = _take("alone", found.alone, addresses["alone"], peak, _where(found.parts))
    for kind, take in takes.items():
        said = _answer(take, report, name, prior)
        rows += _take(kind, take.samples, addresses[kind], peak, said)
    held = found.sufficient + found.necessary
    return (
        f'<p class="claim {("failed", "partly", "held")[held]}" role="status">'
        f"{escape(found.sentence)}</p>{rows}"
        f'<p class="foot">Scored live by {escape(name)}, one window, at one level: LLR, positive = '
        "fake. The claim holds when the decisive parts alone stay on the same side of the "
        "detector's line, and taking them out moves it further towards the other than taking out "
        "as much elsewhere.</p>"
    )


def _take(kind: str, samples: np.ndarray, address: str, peak: float, said: str) -> str:
    title, detail = TAKES[kind]
    audio = f'<audio id="take-{kind}" preload="none" src="{escape(address)}"></audio>'
    return (
        f'<div class="take" data-audio="take-{kind}">{audio}'
        f'<button class="play" data-toggle aria-label="Play: {title}">▶</button>'
        f'<div class="what"><b>{title}</b><small>{detail}</small></div>'
        f'<div class="answer">{said}</div>'
        f"{figures.strip(samples, peak, f'Waveform: {title}.')}</div>"
    )


def _where(parts: Sequence[Part]) -> str:
    """The strongest decisive parts in words."""
    said = [
        f"{part.start_s:.1f} to {part.end_s:.1f} s"
        + (f", {part.low_hz / 1000:.1f} to {part.high_hz / 1000:.1f} kHz" if _banded(part) else "")
        for part in parts[:3]
    ]
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    return f"<small>{'; '.join(said)}{more}</small>"


def _banded(part: Part) -> bool:
    return part.high_hz - part.low_hz < 7500


def _answer(take: Take, report: Report, name: str, prior: float) -> str:
    kind = opinion_of(report, name).config.calibration.verdict(take.llr, prior)
    return f'<b class="{tone(kind)}">{verdict.WORDS[kind]}</b><small>LLR {take.llr:+.1f}</small>'


# --- audit ---


def audit_card(rows: Sequence[Variant], name: str, part: bool = False) -> str:
    """What the detector says about each version, with the verdicts that turned marked.

    part: were only the seconds round the strongest evidence heard?
    """
    turned = [VARIANTS[row.name] for row in rows if row.flipped]
    changes = len(rows) - 1
    if turned:
        said = f"turns in {len(turned)} of {changes} versions: {'; '.join(turned)}"
    else:
        said = f"is the same in all {changes} versions"
    where = f" on the {AUDITED_S:.0f} s round the strongest evidence for fake" if part else ""
    heads = ("Version", "Verdict", "P(fake)", "LLR", "Change")
    body = "".join(_row(row, rows[0], heads) for row in rows)
    head = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<p class="claim {"failed" if turned else "held"}" role="status">The verdict of '
        f"<b>{escape(name)}</b>{where} {escape(said)}.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        '<p class="foot">Noise and a narrow band take evidence away: a verdict that turns there '
        "was not firm. One that turns with silence, level, MP3 or a shift leans on a shortcut, or "
        "was close to the line.</p>"
    )


def _row(row: Variant, original: Variant, heads: Sequence[str]) -> str:
    mark = '<span class="turned">verdict turns</span>' if row.flipped else ""
    moved = "" if row is original else f"{row.llr - original.llr:+.2f} "
    cells = (
        f"<b>{VARIANTS[row.name]}</b>",
        f'<b class="{tone(row.verdict)}">{verdict.WORDS[row.verdict]}</b>',
        verdict.percent(row.p_fake),
        f"{row.llr:+.2f}",
        f"{moved}{mark}",
    )
    named = zip(heads, cells, strict=True)
    kind = ' class="flipped"' if row.flipped else ""
    body = "".join(f'<td data-head="{head}">{cell}</td>' for head, cell in named)
    return f"<tr{kind}>{body}</tr>"
