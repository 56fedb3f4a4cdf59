"""ONNX graphs: export, unroll, tidy, store. `onnx_ir` lives here."""
