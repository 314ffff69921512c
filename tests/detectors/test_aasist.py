"""AASIST: parity with the published checkpoints, and safe import of checkpoints."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from detectors import HearsayError
from detectors.importers.checkpoints import import_checkpoint
from detectors.models.aasist import AASIST

CHECKPOINTS = Path(__file__).parents[3] / "shared" / "checkpoints"
published = pytest.mark.skipif(
    not CHECKPOINTS.is_dir(), reason="the published checkpoints are not beside the project"
)


@published
@pytest.mark.parametrize("name", ["aasist", "aasist-asvspoof5", "aasist-96000"])
def test_logits_equal_the_reference(name):
    spec = importlib.util.spec_from_file_location("reference", CHECKPOINTS / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    entry = json.loads((CHECKPOINTS / "reference.json").read_text())["entries"][name]
    net = import_checkpoint(CHECKPOINTS / entry["weights"], "aasist", name).net
    spoof, bonafide = 1 - entry["bonafide_index"], entry["bonafide_index"]
    kept = [i for i in entry["input"]["ids"] if i not in entry.get("ill_conditioned_ids", ())]
    for k in kept:
        x = torch.from_numpy(reference.model_input("waveform", k, entry["n_samples"]))
        wanted = np.array(entry["logits"][k])
        with torch.inference_mode():
            pair = net.head(net.encode(x))[0].numpy()
            logit = float(net(x))
        assert np.abs(pair - wanted).max() <= 1e-4 * max(1, np.abs(wanted).max())
        assert logit == pytest.approx(wanted[spoof] - wanted[bonafide], abs=4e-4)


@published
def test_published_scores_do_not_depend_on_the_batch():
    detector = import_checkpoint(CHECKPOINTS / "aasist.pth", "aasist", "published")
    x = torch.randn(3, 64_600, generator=torch.Generator().manual_seed(0)) * 0.05
    with torch.inference_mode():
        assert torch.allclose(detector.logits(x)[2:], detector.logits(x[2:]), atol=1e-4)


class Bomb:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path):
    torch.save({"weights": Bomb(tmp_path / "boom")}, tmp_path / "bad.pth")
    with pytest.raises(HearsayError, match="no plain PyTorch state dict"):
        import_checkpoint(tmp_path / "bad.pth", "aasist", "bad")
    assert not (tmp_path / "boom").exists()


def test_a_wrong_checkpoint_is_named_key_by_key(tmp_path):
    weights = AASIST().state_dict()
    weights["pos_S"] = torch.zeros(1, 22, 64)
    del weights["master1"]
    torch.save(weights, tmp_path / "wrong.pth")
    with pytest.raises(HearsayError, match=r"missing \(master1\).*misshapen \(pos_S\)"):
        import_checkpoint(tmp_path / "wrong.pth", "aasist", "wrong")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(HearsayError, match="something else than a state dict"):
        import_checkpoint(tmp_path / "list.pth", "aasist", "wrong")
    with pytest.raises(HearsayError, match="There is no checkpoint"):
        import_checkpoint(tmp_path / "none.pth", "aasist", "wrong")
