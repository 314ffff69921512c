"""Architectures, one a file: features in, one logit a row out, positive = spoof."""
