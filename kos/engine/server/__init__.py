"""Kos's local engine behind Tinker's wire format, so that other people's recipes run against it.

    python -m kos.engine.server --base FOLDER --port 8700

A recipe then needs two settings: ``base_url`` (or TINKER_BASE_URL) and any API key that begins
with ``tml-``. What the server speaks is what the public SDK 0.38 sends: JSON, and protobuf for
the gradients' requests and for what is sampled. Requests of a model take effect in the order of
their sequence numbers, whatever order they arrive in; answers are fetched as futures.
"""
