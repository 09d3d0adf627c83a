"""How results are shown: tables, scorecards, dialogues, progress."""
