"""Run in an environment that has optimum: COMPONENTS INPUTS STEPS PROMPT GUIDANCE OUTPUT.

Opens the components with optimum's pipeline and nothing of ours, and makes a picture of the arrays `image` and `noise`.
"""

import sys
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from optimum.onnxruntime import ORTDiffusionPipeline
from safetensors.numpy import load_file, save_file


def run(graph: Path, given: dict[str, Any]) -> dict[str, Any]:
    """One component, given what it reads of `given`."""
    session = onnxruntime.InferenceSession(graph)
    outputs = session.run(None, {one.name: given[one.name] for one in session.get_inputs()})
    return dict(zip((one.name for one in session.get_outputs()), outputs, strict=True))


def main(folder: Path, arrays: Path, steps: int, prompt: str, guidance: float, output: Path) -> None:
    """The pipeline, with what it knows nothing of before and after it."""
    pipe = ORTDiffusionPipeline.from_pretrained(folder)
    inputs = load_file(arrays)
    words = pipe.encode_prompt(prompt, "cpu", 1, False)[0].numpy()
    condition = run(folder / "condition/model.onnx", {"image": inputs["image"], "prompt_embeds": words})
    seen = condition.pop("seen")
    latent = pipe(
        prompt,
        num_inference_steps=steps,
        guidance_scale=guidance,
        latents=torch.from_numpy(inputs["noise"]),
        cross_attention_kwargs={name: torch.from_numpy(array) for name, array in condition.items()},
        output_type="latent",
    ).images
    picture = pipe.vae.decode(latent / pipe.vae.config.scaling_factor, return_dict=False)[0]
    finished = run(folder / "finish/model.onnx", {"sample": picture.numpy(), "seen": seen})
    save_file({"output": finished["output"]}, output)


if __name__ == "__main__":
    components, arrays, count, words, weight, result = sys.argv[1:]
    main(Path(components), Path(arrays), int(count), words, float(weight), Path(result))
