"""What machines rely on in an error."""

import re

import pytest

from codi_export.errors import CodiError, ErrorCode


@pytest.mark.parametrize("code", ErrorCode)
def test_codes_are_kebab_case(code: ErrorCode) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code.value)


def test_an_error_carries_code_message_and_hint() -> None:
    error = CodiError(ErrorCode.BAD_OPTION, "steps 9: expected 1 to 4", "choose fewer")
    assert (error.code, error.message, error.hint) == (ErrorCode.BAD_OPTION, "steps 9: expected 1 to 4", "choose fewer")
    assert str(error) == error.message
