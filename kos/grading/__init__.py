"""Graders: one file each. A grader that fails leaves the item ungraded, never 0."""
