"""Makes the page's examples from Debian's asterisk prompts: real voices and copies of them.

python examples/make.py FOLDER     # holds en_US_f_Allison/ and fr_CA_f_June/ as G.722

The folder is /usr/share/asterisk/sounds where asterisk-core-sounds-en-g722 and
asterisk-core-sounds-fr-g722 are installed; the neural copy needs the extra `vocoder`.
NOTICE.md says whose voices these are.
"""

import sys
from pathlib import Path

import av
import numpy as np
import soundfile

from corpora.fakers import FAKERS
from corpora.partial_spoof import swap
from detectors.audio.reader import RATE

HERE = Path(__file__).parent
SWAPPED = (10.0, 14.0)  # seconds of the long example that are a copy


def main(sounds: Path) -> None:
    """Write the six examples beside this file."""
    english = prompt(sounds / "en_US_f_Allison" / "demo-moreinfo.g722", 6.5)
    french = prompt(sounds / "fr_CA_f_June" / "demo-echotest.g722", 6.5)
    long = prompt(sounds / "en_US_f_Allison" / "demo-congrats.g722", 24.0)
    save("english-real", english)
    save("english-vocoder-copy", copied("world", english))
    save("english-neural-copy", copied("hifigan", english))
    save("french-real", french)
    save("french-vocoder-copy", copied("griffin-lim", french))
    save("english-4-seconds-copied", swap(long, copied("world", long), *SWAPPED))


def prompt(path: Path, seconds: float) -> np.ndarray:
    """The first seconds of a raw G.722 file as float32 at 16 kHz."""
    with av.open(str(path), format="g722") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return (np.concatenate(frames).astype(np.float32) / 2**15)[: round(seconds * RATE)]


def copied(faker: str, x: np.ndarray) -> np.ndarray:
    return FAKERS[faker](x, np.random.default_rng(0))


def save(name: str, x: np.ndarray) -> None:
    soundfile.write(HERE / f"{name}.flac", np.clip(x, -1, 1), RATE, subtype="PCM_16")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
