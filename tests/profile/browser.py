"""Chromium without a window: it opens a page, does what a script says and tells what it found."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Before all else, so that no error is missed; a violated security policy is a request that the page tried to make.
LISTEN = """<script>
window.faults = [];
addEventListener("error", (event) => faults.push(String(event.message)));
addEventListener("unhandledrejection", (event) => faults.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => faults.push(`request: ${event.blockedURI}`));
for (const kind of ["error", "warn"]) console[kind] = (...words) => faults.push(words.join(" "));
</script>"""


def found(page: str, script: str, folder: Path, *flags: str) -> dict[str, Any]:
    """What `script`, the body of a function, returns on the page; `faults` beside it are errors and warnings."""
    marker = '<meta name="viewport"'
    assert marker in page
    told_to = "document.body.dataset.found = JSON.stringify({ ...answer, faults })"
    driver = f"const answer = (() => {{ {script} }})(); setTimeout(() => {{ {told_to}; }}, 100);"
    file = folder / "page.html"
    file.write_text(page.replace(marker, LISTEN + marker, 1).replace("</html>", f"<script>{driver}</script></html>"))
    dom = _run("--dump-dom", *flags, f"file://{file}")
    answer = re.search(r'data-found="([^"]*)"', dom)
    assert answer, dom[-2000:]
    told: dict[str, Any] = json.loads(unescape(answer[1]))
    return told


def screenshot(page: str, file: Path, width: int, height: int, *flags: str) -> None:
    """A PNG of the page's top."""
    html = file.with_suffix(".html")
    html.write_text(page)
    _run(f"--screenshot={file}", f"--window-size={width},{height}", *flags, f"file://{html}")


def _run(*arguments: str) -> str:
    command = next((path for name in NAMES if (path := shutil.which(name))), None)
    if command is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=5000"]
    done = subprocess.run([command, *fixed, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
