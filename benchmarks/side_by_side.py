"""A picture of before and after: the input enlarged by bicubic interpolation beside the output of a bundle.

python -m benchmarks.side_by_side photo.png after.png --before before.png -o side-by-side.png
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

GAP = 8  # pixels between and around the panels
LABEL = 32  # height of the strip of words under a panel
LABELS = ("bicubic", "codi-export")


def side_by_side(panels: list[Image.Image], labels: tuple[str, ...]) -> Image.Image:
    """The panels in a row, each above its label, on white. All panels have one size."""
    width, height = panels[0].size
    sheet = Image.new("RGB", (GAP + len(panels) * (width + GAP), GAP + height + LABEL), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (panel, label) in enumerate(zip(panels, labels, strict=True)):
        left = GAP + i * (width + GAP)
        sheet.paste(panel, (left, GAP))
        middle = (left + width / 2, GAP + height + LABEL / 2)
        draw.text(middle, label, fill="black", font=ImageFont.load_default(16), anchor="mm")
    return sheet


def read(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return ImageOps.exif_transpose(picture).convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, help="what the bundle was given")
    parser.add_argument("after", type=Path, help="what it made of it")
    parser.add_argument("--before", type=Path, required=True, help="where the enlarged photo is written")
    parser.add_argument("-o", "--output", type=Path, required=True, help="where the row of both is written")
    options = parser.parse_args()

    photo, after = read(options.photo), read(options.after)
    before = photo.resize(after.size, Image.Resampling.BICUBIC)
    before.save(options.before)
    side_by_side([before, after], LABELS).save(options.output)
    print(f"{options.output}: {' | '.join(LABELS)}, each {after.width}x{after.height}")


if __name__ == "__main__":
    main()
