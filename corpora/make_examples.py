"""Makes the page's examples from Debian's asterisk prompts: real voices and copies of them.

python -m corpora.make_examples SOUNDS page/examples

SOUNDS holds en_US_f_Allison/ and fr_CA_f_June/ as G.722: it is /usr/share/asterisk/sounds where
asterisk-core-sounds-en-g722 and asterisk-core-sounds-fr-g722 are installed. The
neural copy needs the extra `vocoder`. page/examples/NOTICE.md says whose voices these are.
"""

import sys
from pathlib import Path

import av
import numpy as np
import soundfile

from detectors.audio import RATE

from .fakers import FAKERS
from .partial_spoof import splice

SPLICED = (10.0, 14.0)  # seconds of the long example that are a copy


def main(sounds: Path, out: Path) -> None:
    """Write the six examples to the folder `out`."""
    english = prompt(sounds / "en_US_f_Allison" / "demo-moreinfo.g722", 6.5)
    french = prompt(sounds / "fr_CA_f_June" / "demo-echotest.g722", 6.5)
    long = prompt(sounds / "en_US_f_Allison" / "demo-congrats.g722", 24.0)
    save(out / "english-real", english)
    save(out / "english-vocoder-copy", copied("world", english))
    save(out / "english-neural-copy", copied("hifigan", english))
    save(out / "french-real", french)
    save(out / "french-vocoder-copy", copied("griffin-lim", french))
    save(out / "english-4-seconds-copied", splice(long, copied("world", long), *SPLICED))


def prompt(path: Path, seconds: float) -> np.ndarray:
    """The first seconds of a raw G.722 file as float32 at 16 kHz."""
    with av.open(str(path), format="g722") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return (np.concatenate(frames).astype(np.float32) / 2**15)[: round(seconds * RATE)]


def copied(faker: str, x: np.ndarray) -> np.ndarray:
    return FAKERS[faker](x, np.random.default_rng(0))


def save(path: Path, x: np.ndarray) -> None:
    soundfile.write(path.with_suffix(".flac"), np.clip(x, -1, 1), RATE, subtype="PCM_16")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
