"""`finalize --remote`, over a stub of ssh that runs the command here, in another home."""

import os
from pathlib import Path

import pytest

from codi_export import remote
from codi_export.errors import CodiError, ErrorCode
from tests import fake_bundle

SSH = """#!/bin/sh
# Like ssh: options, a host, a command for the shell there.
while [ "$1" != user@jetson ]; do shift; done
[ -e "$STUB/offline" ] && { echo "ssh: Could not resolve hostname jetson" >&2; exit 255; }
cd "$STUB/home" && PATH="$STUB/there:/usr/bin:/bin" exec sh -c "$2"
"""
FINALIZE = """#!/bin/sh
# What finalize leaves: an engine and its sidecar; or an error.
echo "$@" > "$STUB/asked"
mkdir -p "$2/engines" && echo engine > "$2/engines/a.engine" && echo '{}' > "$2/engines/a.json"
[ -e "$STUB/broken" ] && { echo "error: out of memory" >&2; exit 1; }
echo done
"""
HOST = remote.parse("ssh://user@jetson:2222")


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "stub"
    for name, text in {"here/ssh": SSH, "there/codi-export": FINALIZE}.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(text)
        (root / name).chmod(0o755)
    (root / "home").mkdir()
    monkeypatch.setenv("STUB", str(root))
    monkeypatch.setenv("PATH", f"{root / 'here'}{os.pathsep}{os.environ['PATH']}")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fake_bundle.write(tmp_path / "sr 2step")  # a name that a shell would split
    return tmp_path / "sr 2step"


def test_the_bundle_goes_and_its_engines_come(stub: Path, folder: Path) -> None:
    assert remote.finalize(folder, HOST, ["--level", "5"]) == "done\n"
    there = stub / "home" / remote.CACHE / "sr 2step"
    assert (there / "codi.json").read_bytes() == (folder / "codi.json").read_bytes()
    assert (stub / "asked").read_text() == f"finalize {remote.CACHE}/sr 2step --level 5\n"
    assert (folder / "engines/a.engine").read_text() == "engine\n"
    assert (folder / "engines/a.json").read_text() == "{}\n"


def test_a_failure_there_is_told_here_and_what_was_built_comes_anyway(stub: Path, folder: Path) -> None:
    (stub / "broken").touch()
    with pytest.raises(CodiError, match="finalize failed there: error: out of memory") as caught:
        remote.finalize(folder, HOST, [])
    assert caught.value.code is ErrorCode.REMOTE
    assert (folder / "engines/a.engine").is_file()


def test_a_host_that_is_not_there(stub: Path, folder: Path) -> None:
    (stub / "offline").touch()
    with pytest.raises(CodiError, match="ssh: ssh: Could not resolve hostname jetson"):
        remote.finalize(folder, HOST, [])


def test_a_host_without_the_tool(stub: Path, folder: Path) -> None:
    (stub / "there/codi-export").unlink()
    with pytest.raises(CodiError, match="user@jetson has no codi-export") as caught:
        remote.finalize(folder, HOST, [])
    assert "pip install" in caught.value.hint


@pytest.mark.parametrize(
    ("address", "command", "where"),
    [
        ("ssh://user@jetson", ("ssh", "-o", "BatchMode=yes", "user@jetson"), remote.CACHE),
        ("ssh://jetson:22/data/x/", ("ssh", "-o", "BatchMode=yes", "-p", "22", "jetson"), "/data/x"),
    ],
)
def test_addresses(address: str, command: tuple[str, ...], where: str) -> None:
    assert remote.parse(address) == remote.Remote(command, where)


@pytest.mark.parametrize("address", ["jetson", "http://jetson", "ssh://", "ssh://-oProxyCommand=x", "ssh://a:b"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(CodiError) as caught:
        remote.parse(address)
    assert caught.value.code is ErrorCode.BAD_OPTION
