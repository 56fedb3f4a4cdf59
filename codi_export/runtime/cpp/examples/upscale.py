"""The same from Python, with the base install: python upscale.py BUNDLE INPUT OUTPUT [SEED] [none|wavelet|adain]"""

import sys

from PIL import Image

import codi_export


def main(bundle: str, source: str, target: str, seed: str = "0", color_fix: str = "none") -> None:
    session = codi_export.load(bundle)
    photo = Image.open(source).convert("RGB")
    session(photo, seed=int(seed), color_fix=color_fix).save(target)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(*sys.argv[1:])
