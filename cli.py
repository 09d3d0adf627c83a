"""The command line: `wellheard` and `python cli.py` are this Typer app."""

import typer

app = typer.Typer()


@app.command()
def hello() -> None:
    """Say hello."""
    print("hello")


def main() -> None:
    """Run the command line."""
    app()
