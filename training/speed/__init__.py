"""How fast calls are heard: this pipeline beside others, on the same files, in one run."""
