"""Published checkpoints and Hugging Face models as detectors; none of their code runs."""
