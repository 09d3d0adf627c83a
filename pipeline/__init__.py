"""The stages a call goes through, one file a stage, in the order of the data."""
