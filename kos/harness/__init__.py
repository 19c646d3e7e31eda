"""The loop that answers a message: sample, call tools, sample again."""
