"""Where downloaded data are kept: a folder of the user's, never inside the package."""

import os
from pathlib import Path

import platformdirs

VARIABLE = "CLDL_CACHE"


def cache_folder(override: str | Path | None = None) -> Path:
    """Return the cache folder: `override`, else the environment variable CLDL_CACHE, else the system's place for it."""
    return Path(override or os.environ.get(VARIABLE) or platformdirs.user_cache_dir("cldl")).expanduser()
