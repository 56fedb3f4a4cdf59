"""A session of ONNX Runtime whose inputs and outputs stay on the device, at the same place in every call."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codi_export.backends import Arrays

TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(int64)": np.int64}


class Bound:
    """`runtime` is the onnxruntime module, `device` "cuda" (or "cpu", for tests). A captured CUDA graph stays valid."""

    def __init__(self, runtime: Any, session: Any, device: str) -> None:
        self.session = session
        self.inputs = {one.name: _value(runtime, one, device) for one in session.get_inputs()}
        self.outputs = {one.name: _value(runtime, one, device) for one in session.get_outputs()}
        self.binding = session.io_binding()
        for name, value in self.inputs.items():
            self.binding.bind_ortvalue_input(name, value)
        for name, value in self.outputs.items():
            self.binding.bind_ortvalue_output(name, value)

    def fill(self, inputs: Arrays) -> None:
        """Copy inputs to the device."""
        for name, array in inputs.items():
            self.inputs[name].update_inplace(np.ascontiguousarray(array))

    def launch(self) -> None:
        """Run on what is there."""
        self.session.run_with_iobinding(self.binding)

    def read(self) -> dict[str, NDArray[Any]]:
        """Copy outputs back."""
        return {name: value.numpy() for name, value in self.outputs.items()}


def _value(runtime: Any, tensor: Any, device: str) -> Any:
    return runtime.OrtValue.ortvalue_from_shape_and_type(tensor.shape, TYPES[tensor.type], device, 0)
