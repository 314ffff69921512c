"""What about a recording makes every answer on it weaker.

Whatever answers shows these: the page, commands, `/analyze` and served models.
"""

from __future__ import annotations

from .audio import Facts

LITTLE_SPEECH_S = 2.0
LOW_KBPS = 40.0  # below which codecs change a voice audibly
TELEPHONE_HZ = 4400.0
CLIPPED = 0.001  # share of the samples
FAINT = 0.01  # peak below which 16 bits hold less than ten


def cautions(facts: Facts) -> tuple[str, ...]:
    """Sentences: first what was done to read the recording, then what is known to mislead."""
    said = [f"{note[:1].upper()}{note[1:]}." for note in facts.notes]
    if facts.speech_seconds < LITTLE_SPEECH_S:
        said.append("There is little speech in it: two seconds or more give a firmer verdict.")
    if facts.kbps is not None and facts.kbps < LOW_KBPS:
        said.append(
            f"It is compressed hard ({facts.codec}, {facts.kbps:.0f} kbit/s), like voice messages: "
            "that blurs the traces of synthesis, and more real voices are taken for fake."
        )
    if facts.bandwidth_hz < TELEPHONE_HZ:
        said.append("It sounds like a telephone: much of what tells fakes apart is filtered out.")
    if facts.clipped > CLIPPED:
        said.append("It is clipped: distortion can be mistaken for a trace of synthesis.")
    coarse = facts.codec in ("pcm_s16", "flac", "alac") and facts.peak < FAINT
    if coarse or facts.codec in ("pcm_u8", "pcm_s8"):
        said.append(
            "Its samples have few steps, since it holds 8 bits or is very faint: the noise of "
            "these steps can move the verdict."
        )
    return tuple(said)
