"""Evaluation: asking, scoring, statistics, and detectors of format faults."""
