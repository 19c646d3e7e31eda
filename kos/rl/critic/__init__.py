"""Answers compared two by two: by the policy itself as critic, or by a judge elsewhere."""
