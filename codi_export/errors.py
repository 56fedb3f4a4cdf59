"""What a user can act on. Anything else that is raised is a bug and keeps its traceback."""

from enum import Enum


class ErrorCode(str, Enum):
    """The closed list of `error.code` values in `--json` output."""

    UNKNOWN_NAME = "unknown-name"
    BAD_OPTION = "bad-option"
    BAD_IMAGE = "bad-image"
    MISSING_FILE = "missing-file"
    MISSING_PACKAGE = "missing-package"
    OUTPUT_EXISTS = "output-exists"
    WRITE_FAILED = "write-failed"
    BAD_BUNDLE = "bad-bundle"
    HASH_MISMATCH = "hash-mismatch"
    NEWER_SCHEMA = "newer-schema"
    BAD_MODEL = "bad-model"
    BAD_DATA = "bad-data"
    DIVERGED = "diverged"
    PARITY = "parity"
    BACKEND = "backend"
    NO_GAIN = "no-gain"
    DOES_NOT_FIT = "does-not-fit"
    NO_ENGINE = "no-engine"
    REMOTE = "remote"


class CodiError(Exception):
    """A failure that its reader can mend.

    `message` names the value and what was expected; `hint` says what to do about it; `code` is for machines.
    """

    def __init__(self, code: ErrorCode, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
