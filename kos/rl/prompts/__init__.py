"""Which prompts a step takes: samplers to choose from, and what they remember."""
