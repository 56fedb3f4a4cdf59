"""Attention over tokens, as ONNX calls it. There is no kernel of ours: runtimes have better ones (DECISIONS 51)."""

from codi_export.ops import functions

functions.declare(
    """
    <domain: "codi", opset_import: ["" : 18]>
    Attention <heads, scale> (query, key, value) => (y) {
        count = Constant <value_int: int = @heads> ()
        first_axis = Constant <value_ints = [0]> ()
        count_row = Unsqueeze (count, first_axis)
        same = Constant <value_ints = [0, 0]> ()
        rest = Constant <value_ints = [-1]> ()
        apart = Concat <axis = 0> (same, count_row, rest)
        q_rows = Reshape (query, apart)
        k_rows = Reshape (key, apart)
        v_rows = Reshape (value, apart)
        q = Transpose <perm = [0, 2, 1, 3]> (q_rows)
        k = Transpose <perm = [0, 2, 3, 1]> (k_rows)
        v = Transpose <perm = [0, 2, 1, 3]> (v_rows)
        factor = Constant <value_float: float = @scale> ()
        typed = CastLike (factor, query)
        scaled = Mul (q, typed)
        scores = MatMul (scaled, k)
        weights = Softmax <axis = -1> (scores)
        mixed = MatMul (weights, v)
        rows = Transpose <perm = [0, 2, 1, 3]> (mixed)
        together = Concat <axis = 0> (same, rest)
        y = Reshape (rows, together)
    }""",
    {"heads": functions.INT, "scale": functions.FLOAT},
)
