"""The report: one HTML file for a night or a period, to read and to print."""
