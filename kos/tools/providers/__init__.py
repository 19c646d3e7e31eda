"""Where the tools look things up: one small file a source, each offered by ``@provide``."""
