"""The pack for a session with one agent: in the terminal, as rows, and as an HTML page with sound."""
