"""The page's texts as HTML: verdict, table of detectors, facts, limits, status."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from detectors import Facts
from detectors.registry import Version

from . import figures, verdict
from .analysis import Opinion, Report

HEADER = """
<header><h1>Hearsay</h1>
<p>Is this voice synthetic? A measured answer, and the seconds and frequencies that decided it.</p>
</header>
"""
WELCOME = """
<section class="verdict-card waiting">
  <p class="kicker">Verdict</p>
  <h2>Nothing heard yet</h2>
  <p>Choose a file, record a few seconds, or take one of the examples. The detectors listen, and
  the page shows which seconds and which frequencies decided.</p>
</section>
"""
BUSY = """
<section class="verdict-card error">
  <p class="kicker">No verdict</p>
  <h2>Not finished</h2>
  <p>The page is busy with other recordings, or something went wrong on the way. Please try again
  in a minute.</p>
</section>
"""
PRIVACY = """
<p class="hint">WAV, MP3, M4A, OGG, FLAC, WebM, MP4 and more; up to 10 minutes and 20 MB. The
recording stays on the computer that runs this page, goes nowhere else, and is deleted within an
hour or so.</p>
"""


def verdict_card(report: Report, prior: float = 0.5) -> str:
    """The big word, P(fake), what its error rates mean, and whether the others agree."""
    if report.error is not None:
        calm = report.error.kind in ("no-speech", "too-short")
        words = verdict.WORDS[report.error.kind]
        return _card("unsure" if calm else "error", words, f"<p>{escape(str(report.error))}</p>")
    if not report.opinions:
        body = "".join(f"<p>{escape(notice)}</p>" for notice in report.notices)
        if report.step:
            return _card("waiting", "Listening …", body + _progress(report))
        nobody = "<p>No detector is in service, so there is no verdict.</p>"
        return _card("error", "No verdict", body or nobody)
    main = report.opinions[0]
    kind = main.kind(prior)
    p = main.score.p_fake(prior)
    marks = [(o.name, o.score.p_fake(prior)) for o in report.opinions]
    body = (
        f'<p class="p-fake"><strong>P(fake) {verdict.percent(p)}</strong> '
        f"{verdict.prior_in_words(prior)}.</p>"
        f"{figures.scale(marks, _band(main, prior))}"
        f"<p>{escape(verdict.meaning(kind, main.name, main.config))}</p>"
    )
    if not report.waiting:
        said = verdict.agreement([(o.name, o.kind(prior)) for o in report.opinions])
        body += f'<p class="agreement">{escape(said)}</p>' if said else ""
    body += "".join(f'<p class="notice">{escape(notice)}</p>' for notice in report.notices)
    return _card(tone(kind), verdict.WORDS[kind], body + _progress(report))


def tone(kind: str) -> str:
    """The colour of a verdict, as style.css names it."""
    return "unsure" if kind == "inconclusive" else kind


def _band(opinion: Opinion, prior: float) -> tuple[float, float]:
    """The band of "inconclusive" as probabilities: it lies where it lay on dev, at even odds."""
    low, high = (1 / (1 + math.exp(-llr)) for llr in opinion.config.calibration.abstain)
    return low, high


def _card(kind: str, title: str, body: str) -> str:
    return (
        f'<section class="verdict-card {kind}" aria-live="polite"><p class="kicker">Verdict</p>'
        f"<h2>{title}</h2>{body}</section>"
    )


def _progress(report: Report) -> str:
    if not report.step:
        return ""
    return (
        f'<div class="progress" role="status"><span>{escape(report.step)} …</span>'
        f'<div class="bar"><i style="width:{100 * report.share:.0f}%"></i></div></div>'
    )


# --- detectors ---


def panel(title: str, body: str, foot: str = "") -> str:
    note = f'<p class="foot">{foot}</p>' if foot else ""
    return f'<section class="panel"><h3>{title}</h3>{body}{note}</section>'


def detectors_panel(report: Report, prior: float = 0.5) -> str:
    """Table of the detectors' answers, with versions, error rates and times."""
    if not report.opinions:
        return ""
    heads = ("Detector", "Verdict", "P(fake)", "LLR", "Version", "EER dev", "EER test", "Time")
    rows = "".join(_row(opinion, heads, prior) for opinion in report.opinions)
    rows += "".join(
        f'<tr class="pending"><td>{escape(name)}</td><td colspan="7">listening …</td></tr>'
        for name in report.waiting
    )
    main = report.opinions[0]
    foot = (
        f"The verdict is {escape(main.name)}'s, whose probabilities were best on dev (by Cllr). "
        "LLR: natural log of how much likelier this sound is if fake; above zero speaks for fake. "
        "EER: share of wrong calls where misses and false alarms are equally frequent, on clips "
        "used for tuning (dev) and on speakers and generators never heard (test). "
        "Time: what each adds; a network that another detector holds as well runs once."
    )
    table = (
        f"<table><thead><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )
    return panel("What each detector says", table, foot)


def _row(opinion: Opinion, heads: Sequence[str], prior: float) -> str:
    kind = opinion.kind(prior)
    aliases = ", ".join(opinion.version.aliases)
    number = f"{opinion.version.version} " if opinion.version.version else ""
    cells = (
        f"<b>{escape(opinion.name)}</b>",
        f'<b class="{tone(kind)}">{verdict.WORDS[kind]}</b>',
        verdict.percent(opinion.score.p_fake(prior)),
        f"{opinion.score.llr:+.2f}",
        f"{number}<small>{escape(aliases)}</small>",
        _rate(opinion.config.eer("dev")),
        _rate(opinion.config.eer("test")),
        f"{opinion.milliseconds:.0f} ms",
    )
    named = zip(heads, cells, strict=True)
    return "<tr>" + "".join(f'<td data-head="{head}">{cell}</td>' for head, cell in named) + "</tr>"


def _rate(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.1f} %"  # noqa: RUF001


# --- the recording, and the limits ---


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
    items = "".join(f"<dt>{term}</dt><dd>{escape(told)}</dd>" for term, told in rows)
    notes = [*cautions(facts), *(report.opinions[0].score.notes if report.opinions else ())]
    warned = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return panel("The recording", f"<dl>{items}</dl>" + (f"<ul>{warned}</ul>" if warned else ""))


def cautions(facts: Facts) -> list[str]:
    """What about a recording makes a verdict on it weaker, in sentences."""
    notes = [f"{note[:1].upper()}{note[1:]}." for note in facts.notes]
    if facts.speech_seconds < 2:
        notes.append("There is little speech in it: two seconds or more give a firmer verdict.")
    if facts.bandwidth_hz < 4400:
        notes.append("It sounds like a telephone: much of what tells fakes apart is filtered out.")
    if facts.clipped > 0.001:
        notes.append("It is clipped: distortion can be mistaken for a trace of synthesis.")
    return notes


LIMITS = """
<section class="panel limits"><h3>What this cannot do</h3>
<ul>
<li><b>It is no proof.</b> A verdict is a measurement with an error rate, and the error rate is
printed with it. Do not accuse anybody on its strength alone.</li>
<li><b>New generators may pass.</b> The detectors know the kinds of synthesis they were trained on;
error rates on systems invented later can be far higher.</li>
<li><b>The channel matters.</b> Telephone sound, strong compression, music or noise under the voice,
and loudspeakers filmed from across the room make real voices look fake, and hide fakes.</li>
<li><b>It hears one thing.</b> Whether a voice was synthesised - not who speaks, not whether the
words are true, not whether real sentences were cut and rearranged.</li>
<li><b>Explanations explain the detector.</b> They show what moved its answer, which need not be
what is wrong with the recording.</li>
</ul></section>
"""


def notices(sentences: Sequence[str]) -> str:
    """What is wrong with the registry, if something is."""
    return "".join(f'<p class="notice">{escape(sentence)}</p>' for sentence in sentences)


def served(versions: Sequence[Version]) -> str:
    """Which versions are in service."""
    said = [f"{v.name} {_version(v)}" for v in versions]
    line = f"In service: {', '.join(said)}." if said else "No detector is in service."
    return f'<footer class="status">{escape(line)}</footer>'


def _version(version: Version) -> str:
    if not version.version:
        return f"({', '.join(version.aliases)})"
    return f"version {version.version} ({', '.join(version.aliases)})"
