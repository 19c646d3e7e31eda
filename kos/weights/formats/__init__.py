"""Formats a model can be exported to: one file each."""
