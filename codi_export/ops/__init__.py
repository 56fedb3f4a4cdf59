"""The kernels' Python face: operations for torch, their ONNX functions, and the host library behind them."""
