"""Weights on disk: formats, merging an adapter, quantising with calibration."""
