"""Detectors measured on labelled clips: metrics, calibration, error rates and their tracking."""
