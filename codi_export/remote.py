"""`finalize` on another machine: the bundle goes there, its engines come back. Needs ssh and tar on both sides."""

import contextlib
import shlex
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from codi_export import engines, files
from codi_export.errors import CodiError, ErrorCode

CACHE = ".cache/codi-export/bundles"  # in the user's home there, so that a second call goes on from the first
NOT_FOUND = 127  # a shell's status for a command that does not exist
SSH_FAILED = 255


@dataclass(frozen=True, slots=True)
class Remote:
    """`ssh` and its arguments, and the folder over there that bundles are copied to."""

    command: tuple[str, ...]
    folder: str


def parse(address: str) -> Remote:
    """`ssh://user@host:22/folder`; without a folder, `CACHE`. Raises CodiError (bad-option)."""
    parts = urlsplit(address)
    if parts.scheme != "ssh" or not parts.hostname or parts.hostname.startswith("-"):
        raise CodiError(ErrorCode.BAD_OPTION, f"--remote {address}: expected ssh://user@host", "ssh://me@jetson.local")
    host = f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname
    try:
        port = ("-p", str(parts.port)) if parts.port else ()
    except ValueError as error:
        raise CodiError(ErrorCode.BAD_OPTION, f"--remote {address}: {error}", "ssh://me@jetson.local:22") from error
    return Remote(("ssh", "-o", "BatchMode=yes", *port, host), parts.path.rstrip("/") or CACHE)


def finalize(folder: Path, remote: Remote, arguments: Sequence[str]) -> str:
    """Copy the bundle, run `codi-export finalize` there with `arguments`, copy its engines back; returns what that
    printed. Engines that came are kept even if it failed on a later one. Raises CodiError (remote)."""
    there = f"{remote.folder}/{folder.resolve().name}"
    _send(folder, remote, there)
    try:
        return _run(remote, shlex.join(["codi-export", "finalize", there, *arguments]))
    finally:
        with contextlib.suppress(CodiError):
            _fetch(folder, remote, there)


def _send(folder: Path, remote: Remote, there: str) -> None:
    """Everything but logs; what is there already is overwritten, engines included if they are here."""
    unpack = f"mkdir -p {shlex.quote(there)} && tar -C {shlex.quote(there)} -xf -"
    pack = ["tar", "-C", str(folder), "--exclude", "*.log", "-cf", "-", "."]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as tar:
        result = _ssh(remote, unpack, stdin=tar.stdout)
    if result.returncode:
        raise _failed("cannot copy the bundle there", result)


def _run(remote: Remote, command: str) -> str:
    result = _ssh(remote, command)
    if result.returncode == NOT_FOUND:
        raise CodiError(
            ErrorCode.REMOTE, f"{remote.command[-1]} has no codi-export", "over there: pip install 'codi-export'"
        )
    if result.returncode:
        raise _failed("finalize failed there", result)
    return result.stdout.decode(errors="replace")


def _fetch(folder: Path, remote: Remote, there: str) -> None:
    """Engines, sidecars, logs and timing caches: files only, and nowhere but where engines lie."""
    (folder / engines.FOLDER).mkdir(exist_ok=True)
    command = [*remote.command, f"tar -C {shlex.quote(there)} -cf - {engines.FOLDER}"]
    sidecars = []
    with (
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as tar,
        tarfile.open(fileobj=tar.stdout, mode="r|") as archive,
    ):
        for member in archive:
            inside = archive.extractfile(member) if member.isfile() else None
            if inside is None or not member.name.startswith(f"{engines.FOLDER}/"):
                continue
            path, data = files.inside(folder, member.name), inside.read()
            if path.suffix == ".json":
                sidecars.append((path, data))  # last, as where they were made
            else:
                files.write(path, data)
    for path, data in sidecars:
        files.write(path, data)


def _ssh(remote: Remote, command: str, stdin: IO[bytes] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a shell's `command` there."""
    try:
        return subprocess.run([*remote.command, command], stdin=stdin or subprocess.DEVNULL, capture_output=True)
    except FileNotFoundError as error:
        raise CodiError(ErrorCode.REMOTE, "ssh is not installed here", "apt-get install openssh-client") from error


def _failed(what: str, result: subprocess.CompletedProcess[bytes]) -> CodiError:
    said = result.stderr.decode(errors="replace").strip().splitlines()
    if result.returncode == SSH_FAILED:
        return CodiError(
            ErrorCode.REMOTE, f"ssh: {said[-1] if said else 'failed'}", "a key is needed: ssh-copy-id, then try again"
        )
    errors = [line for line in said if line.startswith(("error: ", "hint: "))] or said[-1:]
    return CodiError(ErrorCode.REMOTE, f"{what}: {'; '.join(errors)}", "the logs of its builder came with the engines")
