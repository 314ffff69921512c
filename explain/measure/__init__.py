"""Explanations measured against ground truth, and over whole corpora."""
