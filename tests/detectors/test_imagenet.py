"""Networks for photographs on a picture of sound: any size, frozen trunks, ImageNet's weights."""

from __future__ import annotations

import subprocess
import sys
from urllib.error import URLError

import pytest
import torch

from detectors import Config, Detector
from detectors.errors import HearsayError
from detectors.models.inception import Inception
from detectors.models.mobilenet import MobileNet
from detectors.models.vgg16 import VGG16
from training.check import check
from training.initialise import load_imagenet
from training.recipe import NetworkRecipe

NARROW = {MobileNet: {"width": 0.1}, VGG16: {"width": 0.05}, Inception: {}}
FILES = {MobileNet: "mobilenet_v2-7ebf99e0.pth", VGG16: "vgg16_bn-6c64b313.pth"}


def picture(bands: int, frames: int) -> torch.Tensor:
    return torch.randn(2, 1, bands, frames, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", NARROW)
def test_any_picture_gives_a_logit_that_depends_on_it(kind):
    torch.manual_seed(0)
    net = kind(**NARROW[kind]).eval()
    for bands, frames in ((80, 404), (120, 81), (20, 11)):
        with torch.inference_mode():
            x = picture(bands, frames)
            logits = net(x)
            assert logits.shape == (2,) and logits[0] != logits[1]
            # a microphone's gain and a different reference level move no logit
            assert torch.allclose(net(3 * x - 5), logits, atol=1e-4)


@pytest.mark.parametrize("kind", NARROW)
def test_a_frozen_trunk_learns_nothing_and_a_tuned_one_all(kind):
    net = kind(**NARROW[kind], trunk="frozen")
    net.tune()
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=1.0)
    net(picture(80, 101)).sum().backward()
    optimiser.step()
    changed = {k for k, value in net.state_dict().items() if not torch.equal(value, before[k])}
    assert changed == {"out.weight", "out.bias"}
    net = kind(**NARROW[kind])
    net.tune()
    assert all(weight.requires_grad for weight in net.parameters())
    net.train()
    assert net.features.training


def test_an_unknown_trunk_is_refused():
    with pytest.raises(ValueError, match="trunk is one of tuned, frozen, not 'half'"):
        MobileNet(trunk="half")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """torchvision's folder of weights, and no network behind it."""

    def unreachable(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    return tmp_path / "hub/checkpoints"


def test_the_trunk_takes_over_imagenets_weights(cache):
    from torchvision.models import mobilenet_v2

    theirs = mobilenet_v2()
    torch.save(theirs.state_dict(), cache / FILES[MobileNet])
    net = MobileNet().eval()
    load_imagenet(net)
    x = picture(96, 96)
    x = (x - x.mean((1, 2, 3), True)) / x.std((1, 2, 3), keepdim=True, correction=0)
    with torch.inference_mode():
        wanted = theirs.eval().features(x.repeat(1, 3, 1, 1))
        assert torch.allclose(net.features(x.expand(-1, 3, -1, -1)), wanted, atol=1e-5)
        assert torch.allclose(net(x), net.head(wanted), atol=1e-4)


def test_weights_that_cannot_be_had_or_do_not_fit_are_a_sentence(cache):
    recipe = NetworkRecipe(name="m", architecture="mobilenet", pretrained=True)
    with pytest.raises(HearsayError, match=r"MobileNet_V2.*no route to host.*Train without"):
        check(recipe)
    torch.save(VGG16(width=0.05).state_dict(), cache / FILES[VGG16])
    with pytest.raises(HearsayError, match="cannot be used"):
        load_imagenet(VGG16())
    (cache / FILES[VGG16]).write_bytes(b"<html>")
    with pytest.raises(HearsayError, match="cannot be used"):
        load_imagenet(VGG16())
    with pytest.raises(HearsayError, match="only mobilenet, inception and vgg16"):
        check(NetworkRecipe(name="c", architecture="cnn", pretrained=True))


def test_opening_a_folder_fetches_nothing(cache, tmp_path):
    Detector(Config("m", "mobilenet", {"width": 0.1, "trunk": "frozen"})).save(tmp_path / "m")
    Detector.open(tmp_path / "m")
    assert not list(cache.iterdir())


def test_nothing_imports_torchvision_before_it_is_built():
    code = "import sys, detectors; print({'torchvision', 'torch._dynamo'} & sys.modules.keys())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"
