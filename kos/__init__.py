"""The engine: what Kos knows. It imports nothing of the web, and torch only inside heavy rooms."""
