"""The argument records of `kernels/codi_kernels.h`, field for field."""

import ctypes
from ctypes import c_double, c_float, c_int32, c_int64, c_uint32, c_uint64, c_void_p

FLOAT32, FLOAT16 = 0, 1
EPSILON, V_PREDICTION, SAMPLE = 0, 1, 2
NCHW, NHWC = 0, 1


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


class SamplerStep(Record):
    """From a prediction at z to the next latent and the clean estimate, [elements] each."""

    op = "sampler_step"
    _fields_ = (
        ("bytes", c_int64),
        ("elements", c_int64),
        ("alpha", c_double),
        ("sigma", c_double),
        ("mix_x", c_double),
        ("mix_z", c_double),
        ("mix_noise", c_double),
        ("prediction_type", c_int32),
        ("type", c_int32),
        ("prediction", c_void_p),
        ("z", c_void_p),
        ("noise", c_void_p),
        ("next", c_void_p),
        ("estimate", c_void_p),
    )


class ImageToTensor(Record):
    """uint8 [batch, height, width, channels] -> gain v / 255 + offset in a layout, enlarged bicubically."""

    op = "image_to_tensor"
    _fields_ = (
        ("bytes", c_int64),
        ("batch", c_int64),
        ("height", c_int64),
        ("width", c_int64),
        ("channels", c_int64),
        ("out_height", c_int64),
        ("out_width", c_int64),
        ("gain", c_float),
        ("offset", c_float),
        ("layout", c_int32),
        ("type", c_int32),
        ("image", c_void_p),
        ("out", c_void_p),
    )


class TensorToImage(Record):
    """[-1, 1] in a layout -> uint8 [batch, height, width, channels]."""

    op = "tensor_to_image"
    _fields_ = (
        ("bytes", c_int64),
        ("batch", c_int64),
        ("height", c_int64),
        ("width", c_int64),
        ("channels", c_int64),
        ("layout", c_int32),
        ("type", c_int32),
        ("tensor", c_void_p),
        ("image", c_void_p),
    )
