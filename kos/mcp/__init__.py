"""The Model Context Protocol, both ways: our tools for others, others' tools for us."""
