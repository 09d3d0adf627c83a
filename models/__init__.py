"""Adapters to the speech and sentence models, and where their weights come from."""

import os

# Threads that wait for one another by spinning are many times slower as soon as anything else runs on the
# machine. OpenMP reads this when it is loaded, so it stands before every adapter.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Sounds and texts come in all lengths; what is prepared for each length must not pile up. glibc reads its
# setting when a process begins, so it holds for the workers.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
os.environ.setdefault("MALLOC_ARENA_MAX", "2")
