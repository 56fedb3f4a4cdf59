"""codi-export list"""

import json
import subprocess
import sys

import pytest

from codi_export import registry
from codi_export.cli.list import KINDS
from codi_export.cli.main import main

Output = pytest.CaptureFixture[str]


@pytest.mark.parametrize("kind", KINDS)
def test_people_and_machines_see_the_same_names(kind: str, capsys: Output) -> None:
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [line.split()[0] for line in lines] == [row["name"] for row in rows]
    assert all(row["summary"] for row in rows)
    if kind != "models":
        assert [row["name"] for row in rows] == registry.names(kind)


def test_without_a_kind_all_are_listed(capsys: Output) -> None:
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert [line.removesuffix(":") for line in text.splitlines() if line[:1].strip()] == list(KINDS)
    assert main(["list", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == list(KINDS)


def test_listing_samplers_does_not_import_them() -> None:
    code = (
        "import sys; from codi_export.cli.main import main; main(['list', 'samplers']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
