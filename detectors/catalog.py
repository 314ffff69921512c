"""What can be built: every architecture by name, with its default front-end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from .errors import reason
from .frontends import FRONTENDS
from .frontends.frontend import Frontend
from .models.aasist import AASIST
from .models.cnn import CNN
from .models.cnn_lite import CNNLite
from .models.fusion import Fusion
from .models.hub import HubClassifier
from .models.inception import Inception
from .models.mobilenet import MobileNet
from .models.network import Network
from .models.prosody import ProsodyNet
from .models.rawgat_st import RawGATST
from .models.rawnet2 import RawNet2
from .models.resnet import ResNet18
from .models.ssl import SSL
from .models.transformer import ConvTransformer
from .models.tssdnet import IncTSSDNet, ResTSSDNet
from .models.tssdnet2d import ResTSSDNet2D
from .models.vgg16 import VGG16
from .models.whisper import Whisper

Made = TypeVar("Made", Network, Frontend)


@dataclass(frozen=True)
class Entry:
    """An architecture and the front-end that it is trained with unless a config says otherwise."""

    build: Callable[..., Network]
    frontend: str
    frontend_options: dict[str, Any] = field(default_factory=dict)


CATALOG: dict[str, Entry] = {
    "cnn": Entry(CNN, "log-mel"),
    "resnet": Entry(ResNet18, "log-mel"),
    "aasist": Entry(AASIST, "raw"),
    "aasist-l": Entry(
        partial(AASIST, channels=(32, 24), graph=(24, 32), pool_shares=(0.4, 0.5, 0.7)), "raw"
    ),
    "rawgat-st": Entry(RawGATST, "raw"),
    "rawnet2": Entry(RawNet2, "raw"),
    "transformer": Entry(ConvTransformer, "raw"),
    "res-tssdnet": Entry(ResTSSDNet, "raw"),
    "inc-tssdnet": Entry(IncTSSDNet, "raw"),
    "res-tssdnet-2d": Entry(ResTSSDNet2D, "log-cqt"),
    "cnn-lite": Entry(CNNLite, "log-mel", {"mels": 80, "hop": 200}),
    "mobilenet": Entry(MobileNet, "log-mel"),
    "inception": Entry(Inception, "log-mel"),
    "vgg16": Entry(VGG16, "log-mel"),
    "prosody": Entry(ProsodyNet, "prosody"),
    "whisper": Entry(Whisper, "whisper-mel"),
    "ssl": Entry(SSL, "raw"),
    "hub": Entry(HubClassifier, "raw"),
    "fusion": Entry(Fusion, "raw"),
}


def build(architecture: str, options: dict[str, Any]) -> Network:
    """Fresh network of a catalogued architecture; ValueError for a bad name or option."""
    return _make(
        CATALOG[_known(architecture, CATALOG, "architecture")].build, options, architecture
    )


def build_frontend(name: str, options: dict[str, Any]) -> Frontend:
    """Front-end by name, with the same errors as `build`."""
    return _make(FRONTENDS[_known(name, FRONTENDS, "front-end")], options, name)


def _known(name: str, table: dict[str, Any], what: str) -> str:
    if name not in table:
        raise ValueError(f"There is no {what} '{name}'; there are {', '.join(sorted(table))}.")
    return name


def _make(kind: Callable[..., Made], options: dict[str, Any], name: str) -> Made:
    try:
        return kind(**options)
    except ValueError:
        raise
    except Exception as error:  # options come out of files, and a network raises what it likes
        raise ValueError(f"'{name}' does not take these options: {reason(error)}.") from error
