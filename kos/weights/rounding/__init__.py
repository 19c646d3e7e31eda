"""Rounding a changed weight to four bits: to the nearest code, at random without bias, or so that
the outputs come out right.

Pure functions on float32 tensors; the formats in ``kos.weights.formats`` store what they give.
Letters: ``R`` rows (outputs), ``C`` columns (inputs), ``G`` groups of columns that share a scale,
``K`` leading eigenvectors.
"""
