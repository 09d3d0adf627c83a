"""How long the review page takes to start and to show: on simulated nights of `benchmarks/report.py`.

    python benchmarks/report.py make FOLDER 2 1000 5
    python benchmarks/review.py FOLDER [--from DATE] [--to DATE]

Prints the seconds from the command to its address, and from asking for each page to having all of it.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PAGES = {
    "first view": "",
    "the same again": "",
    "all calls": "?show=all",
    "all calls, page 100": "?show=all&page=100",
    "unsure": "?show=unsure",
    "one call": "call?id=",
}


def measure(folder: Path, *options: str) -> None:
    """Start the command as a user would, and ask for its pages as a browser would."""
    begun = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "wellheard.cli",
        "review",
        "--results",
        str(folder),
        "--no-browser",
        *options,
    ]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    address = running.stdout.readline().strip()
    waited = time.monotonic() - begun
    print(f"{waited:6.2f} s  from the command to its address ({_cpu_s(running.pid):.1f} s of CPU)")
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    some = ""
    try:
        for name, path in PAGES.items():
            home = address.split("?")[0]
            wanted = address if name == "first view" else home + path + (some if path.endswith("id=") else "")
            asked = time.monotonic()
            html = browser.open(wanted).read().decode()
            print(f"{time.monotonic() - asked:6.2f} s  {name} ({len(html) / 1000:.0f} kB)")
            some = some or html.split('href="/call?id=')[1].split('"')[0]
    finally:
        running.send_signal(signal.SIGINT)
        running.wait()


def _cpu_s(process: int) -> float:
    """Of a running process, as Linux tells it."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder, *options]:
            measure(Path(folder), *options)
        case _:
            print(__doc__)
