"""Where compiled kernels are kept, so that only the first start compiles them.

Numba recompiles a kernel when its own file has changed, but a compiled kernel contains the code of those that it calls, in other
files. So the kernels of a version are kept in a folder that is named by a hash of all files that contain kernels (unless
NUMBA_CACHE_DIR names another).

Importing a kernel reads and writes nothing there. The folder is made when the first kernel is compiled, and those of earlier
versions are then removed, if they are certainly ours: by their name, and by the tag that is written into each. Where kernels
cannot be kept, they are compiled at every start; where they are damaged, once more.
"""

import hashlib
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from numba import config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache, UserProvidedCacheLocator

from engine.errors import UserError
from engine.io.files import CACHE, cache_folder, explained

KERNEL_SOURCES = ("codegen/*.py", "kernels/cpu/*.py", "ops/*.py", "memory.py", "random.py")
KEPT_VERSIONS = 8  # those compiled last
TAG = "CACHEDIR.TAG"  # by which programs for backups know a cache, see https://bford.info/cachedir
TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# Kernels that cldl compiled, and compiles anew when needed.\n"


def kernel_folder() -> Path | None:
    """The folder of this version's kernels, whether it exists or not; None where there is no home folder to have one in."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in KERNEL_SOURCES for path in Path(__file__).parents[1].glob(pattern)):
        digest.update(path.read_bytes())
    with suppress(UserError):
        return cache_folder() / "kernels" / digest.hexdigest()[:16]
    return None


def make_kernel_folder(folder: Path) -> None:
    """Make the folder of a version that has none yet, and remove those of the earliest versions.

    Raises:    OSError when it cannot be made.
    """
    folder.mkdir(parents=True)
    (folder / TAG).write_text(TAG_TEXT, encoding="utf-8")
    versions = sorted(filter(_is_ours, folder.parent.iterdir()), key=lambda old: (old / TAG).stat().st_mtime_ns)
    for old in versions[:-KEPT_VERSIONS]:
        shutil.rmtree(old, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Whether `make_kernel_folder` made a folder."""
    try:
        tag = (folder / TAG).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return tag == TAG_TEXT and re.fullmatch("[0-9a-f]{16}", folder.name) is not None


FOLDER = Path(config.CACHE_DIR) if config.CACHE_DIR else kernel_folder()


class _Locator(UserProvidedCacheLocator):
    """The place of a source file's kernels in FOLDER."""

    def __init__(self, py_func: Callable, py_file: str) -> None:
        assert FOLDER is not None  # as `KernelCache` sees to
        self._py_file, self._lineno = py_file, py_func.__code__.co_firstlineno
        self._cache_path = str(FOLDER / self.get_suitable_cache_subpath(py_file))

    @classmethod
    def from_function(cls, py_func: Callable, py_file: str) -> "_Locator":
        """As of Numba's own locators, but without making the folder."""
        return cls(py_func, py_file)

    def ensure_cache_path(self) -> None:
        """Make the folder, before a kernel is written."""
        version = Path(self._cache_path).parent
        if not (config.CACHE_DIR or version.exists()):
            make_kernel_folder(version)
        super().ensure_cache_path()


class _Implementation(CompileResultCacheImpl):
    _locator_classes: ClassVar = [_Locator]


class _Files(FunctionCache):
    _impl_class = _Implementation


class KernelCache(NullCache):
    """The cache of one kernel, as Numba's dispatcher uses it: when it fails, the kernel does not."""

    failed = False  # whether a kernel could not be kept, which is said once

    def __init__(self, kernel: Callable) -> None:
        self._files = None if FOLDER is None else _Files(kernel)

    @property
    def cache_path(self) -> str | None:
        """The folder of this kernel's files."""
        return self._files and self._files.cache_path

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel for arguments of these types; None where there is none, or it cannot be read."""
        try:
            return self._files and self._files.load_overload(sig, target_context)
        except Exception:  # what is damaged can raise nearly any
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel; where that fails, say so once."""
        if KernelCache.failed:
            return
        try:
            if self._files is None:
                raise UserError("there is no home folder: choose a folder")
            with explained(Path(self._files.cache_path).parent):
                _save(self._files, sig, data)
        except UserError as error:
            KernelCache.failed = True
            sentence = f"warning: {error} by {CACHE}; until then, kernels are compiled at every start."
            print(sentence, file=sys.stderr, flush=True)


def _save(files: _Files, sig: Any, data: Any) -> None:
    try:
        files.save_overload(sig, data)
    except OSError:
        raise
    except Exception:  # the index is damaged
        files.flush()
        files.save_overload(sig, data)
