"""Published checkpoints: logits as published, class order, and a say on every wrong file."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import hiss

from detectors import Detector, HearsayError
from detectors.catalog import build
from detectors.frontends.spectrograms import Mel
from detectors.importers.checkpoints import FAMILIES, import_checkpoint

CHECKPOINTS = Path(__file__).parents[3] / "shared" / "checkpoints"
published = pytest.mark.skipif(
    not CHECKPOINTS.is_dir(), reason="the published checkpoints are not beside the project"
)
ENTRIES: dict[str, Any] = (
    json.loads((CHECKPOINTS / "reference.json").read_text())["entries"]
    if CHECKPOINTS.is_dir()
    else {}
)
SLOW = ("aasist", "rawgat", "rawnet2")  # two of six inputs show a wrong layer, and the batch
SMALL = {  # options that keep the tests quick, and an input that each family takes
    "aasist": ({"channels": (4, 8)}, (2, 9_000)),
    "aasist-l": ({}, (2, 9_000)),
    "rawgat-st": ({"narrow": 4, "wide": 8}, (2, 50_429)),
    "rawnet2": ({}, (2, 9_000)),
    "res-tssdnet": ({}, (2, 5_000)),
    "inc-tssdnet": ({}, (2, 5_000)),
    "res-tssdnet-2d": ({}, (2, 1, 48, 50)),
    "cnn-lite": ({"bands": 20}, (2, 1, 20, 200)),
}


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", CHECKPOINTS / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def family(entry: str) -> str:
    """The importer's name for what an entry of reference.json holds."""
    stem = entry.split("@")[0].replace("rawnet2-2021", "rawnet2")
    if stem in FAMILIES:
        return stem
    return "cnn-lite" if stem.startswith("melcnn") else "aasist"


def checkpoint(entry: dict[str, Any], folder: Path) -> Path:
    """The published file, or one of the entry's rebuildable weights."""
    if not entry["weights"].startswith("seeded"):
        return CHECKPOINTS / entry["weights"]
    if entry["weights"] == "seeded":
        arrays = reference().seeded_state(entry["state_dict"])
    else:
        arrays = reference().seeded_fanin_state(entry["state_dict"], entry.get("gain", 2.0))
    torch.save({k: torch.as_tensor(v) for k, v in arrays.items()}, folder / "weights.pth")
    return folder / "weights.pth"


def pairs(detector: Detector, layer: str, x: Tensor, picture: bool) -> tuple[Tensor, Tensor]:
    """Class logits (b, 2) as they leave the network's last layer, and the detector's logits."""
    seen = []
    hook = detector.net.get_submodule(layer).register_forward_hook(lambda _, __, y: seen.append(y))
    with torch.inference_mode():
        logits = detector.net(x) if picture else detector.logits(x)
    hook.remove()
    return seen[0].reshape(-1, 2), logits


@published
@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_logits_equal_the_reference(name, tmp_path):
    entry = ENTRIES[name]
    published_as = FAMILIES[family(name)]
    detector = import_checkpoint(checkpoint(entry, tmp_path), family(name), name)
    kind = entry["input"]["kind"].removesuffix("_channel")
    kept = [k for k in entry["input"]["ids"] if k not in entry.get("ill_conditioned_ids", ())]
    if name.startswith(SLOW):
        kept = kept[: 1 if entry.get("input_independent") else 2]
    if name.startswith("aasist") and name.endswith("@seeded_fanin"):
        pytest.skip("its node scores saturate, and every build of PyTorch breaks the ties its way")
    spoof, bonafide = 1 - entry["bonafide_index"], entry["bonafide_index"]
    wanted = np.array(entry["logits"])[kept][:, [spoof, bonafide]]
    one = [reference().model_input(kind, k, entry["n_samples"]) for k in kept]
    x = torch.from_numpy(np.concatenate(one))

    def near(got: Tensor, wanted: np.ndarray) -> bool:
        return bool((np.abs(got.numpy() - wanted) <= 1e-4 * np.maximum(1, np.abs(wanted))).all())

    picture = kind != "waveform"
    alone, logit = pairs(detector, published_as.classes, x[:1], picture)
    together, logits = pairs(detector, published_as.classes, x, picture)
    assert near(alone, wanted[:1]) and near(together, wanted)
    assert near(logit, wanted[:1, 0] - wanted[:1, 1])
    assert near(logits, wanted[:, 0] - wanted[:, 1])
    if "log_softmax" in entry:
        softmax = np.array(entry["log_softmax"])[kept][:, [spoof, bonafide]]
        assert near(together.log_softmax(dim=1), softmax)


@published
def test_the_published_mel_picture_is_reproduced():
    options = FAMILIES["cnn-lite"].frontend_options
    for k in (0, 3, 4):
        x = reference().waveform(k, 16_000)
        got, wanted = Mel(**options)(torch.from_numpy(x)[None])[0, 0], reference().mel(x)
        assert np.abs(got.numpy() - wanted).max() <= 1e-5 * wanted.max()


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_each_family_keeps_its_class_order(name, tmp_path):
    wanted = FAMILIES[name]
    net = build(wanted.architecture, wanted.options)
    weights = net.state_dict()
    weights[f"{wanted.classes}.weight"].zero_()
    weights[f"{wanted.classes}.bias"][wanted.bonafide] = 3.0
    weights[f"{wanted.classes}.bias"][1 - wanted.bonafide] = -1.0
    torch.save({"model_state_dict": weights, "epoch": 3}, tmp_path / "published.pth")
    imported = import_checkpoint(tmp_path / "published.pth", name, "imported").net
    samples = 50_429 if name == "rawgat-st" else 9_000
    picture = (1, 1, wanted.options.get("bands", 48), 80)
    with torch.inference_mode():
        x = torch.rand((1, samples) if wanted.frontend == "raw" else picture)
        assert float(imported(x)) == pytest.approx(-4.0, abs=1e-5), "bona fide is negative"


def test_an_imported_detector_is_saved_and_opened_again(tmp_path):
    net = build("cnn-lite", {"bands": 128, "channels": 3})
    torch.save(net.state_dict(), tmp_path / "three.pth")
    detector = import_checkpoint(tmp_path / "three.pth", "cnn-lite", "three")
    detector.save(tmp_path / "three")
    again = Detector.open(tmp_path / "three")
    assert again.config.options == {"bands": 128, "channels": 3}
    x = torch.from_numpy(hiss(63_800))[None]
    with torch.inference_mode():
        assert torch.equal(again.logits(x), detector.logits(x))
        assert not torch.allclose(again.logits(10 * x), detector.logits(x)), "levels count"


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_logit_is_its_own_whatever_else_is_in_the_batch(name):
    options, shape = SMALL[name]
    torch.manual_seed(0)
    net = build(name, options).eval()
    x = torch.randn(shape)
    with torch.inference_mode():
        logits = net(x)
        assert logits.shape == (2,) and logits.std() > 0
        assert torch.allclose(torch.cat([net(row[None]) for row in x]), logits, atol=1e-5)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_longer_input_and_a_gradient_pass_through(name):
    options, shape = SMALL[name]
    torch.manual_seed(0)
    net = build(name, options).eval().requires_grad_(False)
    x = torch.randn(1, *shape[1:-1], shape[-1] + 777).requires_grad_()
    net(x).sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_wrong_files_are_named(tmp_path):
    weights = build("inc-tssdnet", {}).state_dict()
    weights["out.bias"] = torch.zeros(3)
    del weights["DCM1.cv8.weight"]
    torch.save({"model_state_dict": weights}, tmp_path / "wrong.pth")
    with pytest.raises(HearsayError, match=r"missing \(DCM1\.cv8\.weight\).*misshapen \(out\.bi"):
        import_checkpoint(tmp_path / "wrong.pth", "inc-tssdnet", "wrong")
    with pytest.raises(HearsayError, match=r"missing \(.*unexpected \("):
        import_checkpoint(tmp_path / "wrong.pth", "cnn-lite", "wrong")
    with pytest.raises(HearsayError, match="'resnet' are not known; there are aasist, "):
        import_checkpoint(tmp_path / "wrong.pth", "resnet", "wrong")
    torch.save({3: torch.zeros(1)}, tmp_path / "numbers.pth")
    with pytest.raises(HearsayError, match="something else than a state dict"):
        import_checkpoint(tmp_path / "numbers.pth", "aasist", "wrong")


def test_rawnet2_has_two_editions():
    with pytest.raises(ValueError, match="editions 2019, 2021"):
        build("rawnet2", {"edition": 2020})
