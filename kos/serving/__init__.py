"""Serving a model over an OpenAI-compatible endpoint, and talking to one."""
