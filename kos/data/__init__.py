"""Prompts with graded rubrics: their shape, and the readers of the files they come in."""
