"""Labelled recordings: manifests, splits, their audio, and fakes of our own."""
