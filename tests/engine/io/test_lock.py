import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.io.lock import LOCK, exclusive

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time
from pathlib import Path
from engine.io.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print(flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_once_and_freed_at_the_end_of_the_block(tmp_path):
    with exclusive(tmp_path), pytest.raises(UserError, match="is in use"), exclusive(tmp_path):
        pass
    with exclusive(tmp_path):
        pass


def test_the_lock_names_the_process_that_holds_it_and_dies_with_it(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        named = rf"{re.escape(str(tmp_path))} is in use by process {holder.pid} on .+: wait until that has ended, or stop it\."
        with pytest.raises(UserError, match=named), exclusive(tmp_path):
            pass
        holder.kill()
    with exclusive(tmp_path):
        assert f"process {os.getpid()} on " in (tmp_path / LOCK).read_text()


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*none"), exclusive(tmp_path / "none"):
        pass
