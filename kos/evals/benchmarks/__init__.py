"""Benchmarks, one file each: what is asked, how it is scored, and what it is held against.

A file dropped here registers its benchmark. Nothing of a restricted benchmark ships with Kos:
such a benchmark names the file to import. The others make their tasks themselves.
"""

from kos.evals.benchmarks.base import BENCHMARKS, Benchmark, Figure, Needed, benchmark_of

BENCHMARKS.register_folder(__name__)

__all__ = ["BENCHMARKS", "Benchmark", "Figure", "Needed", "benchmark_of"]
