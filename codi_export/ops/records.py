"""The argument records of `kernels/codi_kernels.h`, field for field."""

import ctypes
from ctypes import c_float, c_int32, c_int64, c_uint32, c_uint64, c_void_p

FLOAT32, FLOAT16 = 0, 1


class Record(ctypes.Structure):
    """What an operation is called with. `op` names it; the first field is the record's own size in bytes."""

    op: str

    def __init__(self, **values: int | float | None) -> None:
        super().__init__(ctypes.sizeof(self), **values)


class Noise(Record):
    """Standard normal noise into out [batch, channels, height, width]."""

    op = "noise"
    _fields_ = (
        ("bytes", c_int64),
        ("seed", c_uint64),
        ("image", c_uint32),
        ("y", c_uint32),
        ("x", c_uint32),
        ("type", c_int32),
        ("batch", c_int64),
        ("channels", c_int64),
        ("height", c_int64),
        ("width", c_int64),
        ("out", c_void_p),
    )


class GroupNormSilu(Record):
    """GroupNorm and SiLU of [x ; second] + shift + residual, channels last."""

    op = "group_norm_silu"
    _fields_ = (
        ("bytes", c_int64),
        ("batch", c_int64),
        ("positions", c_int64),
        ("channels", c_int64),
        ("groups", c_int64),
        ("second_channels", c_int64),
        ("epsilon", c_float),
        ("silu", c_int32),
        ("type", c_int32),
        ("x", c_void_p),
        ("second", c_void_p),
        ("shift", c_void_p),
        ("residual", c_void_p),
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("out", c_void_p),
        ("workspace", c_void_p),
        ("workspace_bytes", c_int64),
    )


class Geglu(Record):
    """value gelu(gate) of x [rows, 2 columns] + bias into out [rows, columns]."""

    op = "geglu"
    _fields_ = (
        ("bytes", c_int64),
        ("rows", c_int64),
        ("columns", c_int64),
        ("type", c_int32),
        ("x", c_void_p),
        ("bias", c_void_p),
        ("out", c_void_p),
    )
