"""What the documents point at is there."""

import re
from pathlib import Path

import pytest

LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
MAKE = re.compile(r"(?:^\s*|`)make ([a-z]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def pages(root: Path, tracked: list[Path]) -> dict[Path, str]:
    return {path: (root / path).read_text() for path in tracked if path.suffix == ".md"}


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.*?) *$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_resolve(root: Path, pages: dict[Path, str]) -> None:
    broken = []
    for page, text in pages.items():
        for link in (a or b for a, b in LINK.findall(FENCE.sub("", text))):
            if re.match(r"[a-z]+:", link):  # another site; not checked, tests do not use the network
                continue
            name, _, anchor = link.partition("#")
            target = root / page.parent / name if name else root / page
            if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target.read_text())):
                broken.append(f"{page}: {link}")
    assert broken == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_exist(root: Path, name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = set(MAKE.findall((root / name).read_text()))
    assert named, f"{name} names no make target"
    assert named <= targets
