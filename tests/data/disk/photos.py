"""Small image files, written for a test."""

import io

import numpy as np
from PIL import Image


def jpeg(seed=0, height=24, width=32, **options):
    """The bytes of a JPEG file: a gradient in a colour of its own."""
    colour = np.random.default_rng(seed).integers(60, 256, 3)
    ramp = np.linspace(0.3, 1, width)[None, :, None] * np.linspace(0.5, 1, height)[:, None, None]
    return encode(Image.fromarray((ramp * colour).astype(np.uint8)), "JPEG", quality=95, **options)


def encode(picture, form, **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def write(folder, files):
    """Write files, {path below the folder: bytes or text}; the folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def tree(folder, *classes, count=4, seed=0):
    """A folder of class folders, with so many images each; the folder."""
    names = [f"{name}/{i}.jpg" for name in classes for i in range(count)]
    return write(folder, {name: jpeg(seed + i) for i, name in enumerate(names)})
