"""The workers' room: claim a run, work on it in a process of its own, tell what happens."""
