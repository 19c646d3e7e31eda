"""Public bulk files read into the corpus: one module a file's form, all streaming and bounded."""
