"""Run in an environment that has optimum: COMPONENTS INPUTS STEPS PROMPT GUIDANCE OUTPUT.

Opens the components with optimum's pipeline and nothing of ours, and makes a picture of the arrays `image` and `noise`.
"""

import sys
from pathlib import Path

import onnxruntime
import torch
from optimum.onnxruntime import ORTDiffusionPipeline
from safetensors.numpy import load_file, save_file


def main(folder: Path, given: Path, steps: int, prompt: str, guidance: float, output: Path) -> None:
    """The pipeline, with what it knows nothing of before and after it."""
    pipe = ORTDiffusionPipeline.from_pretrained(folder)
    inputs = load_file(given)
    embeds = pipe.encode_prompt(prompt, "cpu", 1, False)[0]
    condition = onnxruntime.InferenceSession(folder / "condition/model.onnx")
    names = [one.name for one in condition.get_outputs()]
    looked_at = {"image": inputs["image"], "prompt_embeds": embeds.numpy()}
    takes = {one.name for one in condition.get_inputs()}
    made = dict(zip(names, condition.run(None, {k: v for k, v in looked_at.items() if k in takes}), strict=True))
    seen = made.pop("seen")
    latent = pipe(
        prompt,
        num_inference_steps=steps,
        guidance_scale=guidance,
        latents=torch.from_numpy(inputs["noise"]),
        cross_attention_kwargs={name: torch.from_numpy(array) for name, array in made.items()},
        output_type="latent",
    ).images
    picture = pipe.vae.decode(latent / pipe.vae.config.scaling_factor, return_dict=False)[0]
    finish = onnxruntime.InferenceSession(folder / "finish/model.onnx")
    levels, _ = finish.run(None, {"sample": picture.numpy(), "seen": seen})
    save_file({"output": levels}, output)


if __name__ == "__main__":
    components, arrays, count, words, weight, result = sys.argv[1:]
    main(Path(components), Path(arrays), int(count), words, float(weight), Path(result))
