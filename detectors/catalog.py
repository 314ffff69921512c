"""What can be built: every architecture by name, with its default front-end."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from .frontends import FRONTENDS
from .models.aasist import AASIST
from .models.cnn import CNN
from .models.resnet import ResNet18
from .models.transformer import ConvTransformer


@dataclass(frozen=True)
class Entry:
    """An architecture and the front-end that it is trained with unless a config says otherwise."""

    build: type[nn.Module]
    frontend: str
    frontend_options: dict[str, Any] = field(default_factory=dict)


CATALOG: dict[str, Entry] = {
    "cnn": Entry(CNN, "log-mel"),
    "resnet": Entry(ResNet18, "log-mel"),
    "aasist": Entry(AASIST, "raw"),
    "transformer": Entry(ConvTransformer, "raw"),
}


def build(architecture: str, options: dict[str, Any]) -> nn.Module:
    """Fresh network of a catalogued architecture; KeyError-free: a bad name or option is a
    ValueError that says what is there."""
    return _make(
        CATALOG[_known(architecture, CATALOG, "architecture")].build, options, architecture
    )


def build_frontend(name: str, options: dict[str, Any]) -> nn.Module:
    """Front-end by name, with the same errors as `build`."""
    return _make(FRONTENDS[_known(name, FRONTENDS, "front-end")], options, name)


def _known(name: str, table: dict[str, Any], what: str) -> str:
    if name not in table:
        raise ValueError(f"There is no {what} '{name}'; there are {', '.join(sorted(table))}.")
    return name


def _make(kind: type[nn.Module], options: dict[str, Any], name: str) -> nn.Module:
    try:
        return kind(**options)
    except TypeError as error:
        raise ValueError(f"'{name}' does not take these options: {error}.") from error
