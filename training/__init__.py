"""Manifest in, registered detector out: data, loop, calibration, evaluation and tracking."""
