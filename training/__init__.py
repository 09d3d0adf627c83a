"""What learns from labelled calls, and what is measured on them."""
