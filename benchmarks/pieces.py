"""Files in pieces, for a machine that takes only so much at a time.

python -m benchmarks.pieces split onnxruntime_gpu.whl wheels     # here
python -m benchmarks.pieces join wheels                          # there, once all pieces are in the folder
"""

import argparse
import hashlib
import json
from pathlib import Path

MIB = 2**20
SIZE = 60 * MIB
NOTE = ".pieces.json"  # behind a file's name: its SHA-256 and how many pieces there are


def split(path: Path, folder: Path, size: int = SIZE) -> list[Path]:
    """Write `path` to `folder` in pieces of at most `size` bytes, and a note that tells when they are whole again."""
    folder.mkdir(parents=True, exist_ok=True)
    data = path.read_bytes()
    pieces = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    written = []
    for index, piece in enumerate(pieces):
        written.append(folder / f"{path.name}.{index:03}")
        written[-1].write_bytes(piece)
    note = {"sha256": hashlib.sha256(data).hexdigest(), "pieces": len(pieces)}
    (folder / (path.name + NOTE)).write_text(json.dumps(note) + "\n")
    return written


def join(folder: Path) -> list[Path]:
    """Put together every file whose pieces are all in `folder`; the pieces go. Exits with a message where one is
    missing or damaged."""
    done = []
    for note in sorted(folder.glob(f"*{NOTE}")):
        path, facts = note.with_name(note.name.removesuffix(NOTE)), json.loads(note.read_text())
        pieces = [path.with_name(f"{path.name}.{index:03}") for index in range(facts["pieces"])]
        if missing := [piece.name for piece in pieces if not piece.is_file()]:
            raise SystemExit(f"error: {path.name} lacks {len(missing)} of {len(pieces)} pieces: {missing[0]}, …")
        data = b"".join(piece.read_bytes() for piece in pieces)
        if hashlib.sha256(data).hexdigest() != facts["sha256"]:
            raise SystemExit(f"error: {path.name}: a piece is damaged: carry them again")
        path.write_bytes(data)
        for piece in (*pieces, note):
            piece.unlink()
        done.append(path)
    return done


def main() -> None:
    """Split one file, or join all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    splitting = verbs.add_parser("split")
    splitting.add_argument("file", type=Path)
    splitting.add_argument("folder", type=Path)
    verbs.add_parser("join").add_argument("folder", type=Path)
    arguments = parser.parse_args()
    for path in split(arguments.file, arguments.folder) if arguments.verb == "split" else join(arguments.folder):
        print(path)


if __name__ == "__main__":
    main()
