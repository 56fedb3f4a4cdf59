"""Records survive JSON, and what is no record is refused."""

import json
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codi_export.errors import CodiError, ErrorCode
from codi_export.records import from_json, to_json
from codi_export.spec import (
    AdapterSpec,
    BuildSpec,
    FileEntry,
    Graph,
    Manifest,
    Parity,
    Precision,
    Schedule,
    Step,
    TensorSpec,
)

names = st.text(max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
schedules = st.builds(
    Schedule,
    st.lists(st.integers(0, 999), min_size=1, max_size=4, unique=True).map(
        lambda ts: tuple(Step(t, 0.5, 0.5) for t in sorted(ts, reverse=True))
    ),
    st.sampled_from(["epsilon", "v_prediction", "sample"]),
)
tensors = st.builds(TensorSpec, names, names, st.lists(st.one_of(st.integers(1, 999), names), max_size=4).map(tuple))
graphs = st.builds(
    Graph,
    name=names,
    task=names,
    path=names,
    sampler=names,
    precision=st.sampled_from(typing.get_args(Precision)),
    schedule=schedules,
    inputs=st.tuples(tensors),
    outputs=st.tuples(tensors),
    scale=st.integers(1, 8),
    latent_factor=st.integers(1, 8),
    golden=names,
    parity=st.builds(Parity, numbers, numbers, st.integers(0, 255)),
)
manifests = st.builds(
    Manifest,
    builds=st.tuples(
        st.builds(BuildSpec, task=names, steps=st.sampled_from([(1,), (2, 4)]), prompt=st.one_of(st.none(), names))
    ),
    adapters=st.dictionaries(
        names,
        st.builds(AdapterSpec, task=names, timesteps=st.dictionaries(names, st.tuples(st.integers()))),
        max_size=2,
    ),
    graphs=st.lists(graphs, max_size=2).map(tuple),
    files=st.lists(st.builds(FileEntry, names, st.integers(0), names), max_size=2).map(tuple),
    tools=st.dictionaries(names, names, max_size=2),
)


@given(manifests)
def test_a_manifest_survives_json(manifest: Manifest) -> None:
    assert from_json(Manifest, json.loads(json.dumps(to_json(manifest)))) == manifest


def test_unknown_keys_are_ignored_so_that_old_readers_read_additions() -> None:
    assert from_json(Step, {"t": 1, "alpha": 0.6, "sigma": 0.8, "colour": "red"}) == Step(1, 0.6, 0.8)


@pytest.mark.parametrize("value", [{}, [], 3, "x", None, {"path": "a", "bytes": "3", "sha256": "b"}, {"path": "a"}])
def test_what_is_not_a_record_is_refused(value: Any) -> None:
    with pytest.raises(CodiError, match="not a valid FileEntry") as caught:
        from_json(FileEntry, value)
    assert caught.value.code is ErrorCode.BAD_BUNDLE


def test_a_literal_takes_only_its_values() -> None:
    with pytest.raises(CodiError, match="expected one of"):
        from_json(Schedule, {"steps": [{"t": 1, "alpha": 0.6, "sigma": 0.8}], "prediction_type": "noise"})
