"""Adapters to the speech and sentence models, and where their weights come from."""

import os

# Threads that wait for one another by spinning are many times slower as soon as anything else runs on the
# machine. OpenMP reads this when it is loaded, so it stands before every adapter.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
