"""What an archive may hold, to the byte, and the sentences with which anything else is refused."""

import io
import tarfile

import pytest

from data.fetch.archives import OVERHEAD, check_size, untar
from engine.errors import UserError

SIZES = {"exact": (5, 5), "some": (1, 10)}
FILES = {"exact": b"12345", "some": b"123"}


def archive(*members):
    """A tar archive of (name, bytes), or of (name, None) for a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.type = tarfile.REGTYPE if data is not None else tarfile.DIRTYPE
            info.size = len(data or b"")
            file.addfile(info, io.BytesIO(data or b""))
    return buffer.getvalue()


WHOLE = archive(*((f"folder/{name}", data) for name, data in FILES.items()))


def refusal(data):
    with pytest.raises(UserError) as refused:
        untar(data if hasattr(data, "read") else io.BytesIO(data), SIZES, "folder")
    return str(refused.value)


def test_an_archive_may_be_as_large_as_its_members_and_a_mebibyte_and_no_larger():
    limit = 15 + OVERHEAD
    assert untar(io.BytesIO(WHOLE.ljust(limit, b"\0")), SIZES, "folder") == FILES
    assert refusal(WHOLE.ljust(limit + 1, b"\0")) == "unpacks to more than its members can be"


@pytest.mark.parametrize("folders", [["."], ["./"], ["folder"], ["./folder/"], [".", "./folder"]], ids=" ".join)
def test_an_archive_may_name_the_folder_of_its_files(folders):
    members = [(folder, None) for folder in folders] + [(f"./folder/{name}", data) for name, data in FILES.items()]
    assert untar(io.BytesIO(archive(*members)), SIZES, "folder") == FILES


def test_a_file_of_another_size_is_refused_with_the_sizes_that_it_may_have():
    for size in (1, 10):
        check_size("some", size, SIZES)
    for name, size, expected in (("exact", 4, "5"), ("exact", 6, "5"), ("some", 0, "1 to 10"), ("some", 11, "1 to 10")):
        with pytest.raises(UserError) as refused:
            check_size(name, size, SIZES)
        assert str(refused.value) == f"{name} has {size} bytes, expected {expected}"


def test_a_file_that_does_not_belong_there_is_named_by_100_letters_at_most():
    assert refusal(archive(("folder/other", b""))) == "holds 'folder/other', which does not belong there"
    assert refusal(archive(("x" * 101, b""))) == f"holds '{'x' * 100}', which does not belong there"


def test_a_file_whose_name_ends_like_a_folders_does_not_belong_there():
    assert refusal(archive(("folder/exact/", b"12345"))) == "holds 'folder/exact/', which does not belong there"


class Failing(io.BytesIO):
    """A file on a disk that fails behind its first bytes."""

    def __init__(self, error):
        super().__init__(WHOLE)
        self.error = error

    def read(self, size):
        if self.tell() > 2:
            raise self.error
        return super().read(size)


@pytest.mark.parametrize(
    ("error", "reason"), [(OSError("the disk fails"), "the disk fails"), (MemoryError(), "MemoryError")]
)
def test_an_archive_that_cannot_be_read_is_told_with_the_reason_or_the_name_of_the_error(error, reason):
    assert refusal(Failing(error)) == f"cannot be unpacked ({reason})"
