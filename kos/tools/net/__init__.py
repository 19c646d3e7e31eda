"""The one way out: who may be asked, how often, for how long, and what is kept of the answer."""
