"""What all commands share: how they end on a signal, and where their output goes."""

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import cldl
from cldl import signals, train
from cldl.__main__ import COMMANDS as ALL
from cldl.__main__ import main
from cldl.commands import again, guarded
from tests.cldl import tiny
from tests.cldl.synthetic import command

ROOT = Path(__file__).parents[2]
KINDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
SMALL = ["mnist_nin", "--classifiers", "2", "--loss.weights", "1,1", "--epochs", "1", "--threads", "1"]


def interrupted(arguments, kind=signal.SIGINT, **environment):
    """The status and the output of a program that gets a signal after its first line."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ | environment, start_new_session=True, **pipes
    ) as process:
        first = process.stdout.readline()
        process.send_signal(kind)
        out, err = process.communicate(timeout=20)
    return process.returncode, first + out, err


COMMANDS = ("train", "evaluate", "predict", "serve", "export", "report", "gradcheck", "study.__main__")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_imports_no_matplotlib_which_makes_folders_before_it_draws(name):
    code = f"import sys, cldl.{name}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_ctrl_c_while_a_command_is_imported_ends_it_at_once_with_one_line(tmp_path):
    (tmp_path / "rich.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(30)")
    ended = interrupted(["-m", "cldl.train", "--list"], PYTHONPATH=str(tmp_path))
    assert ended == (130, "importing\n", "stopped.\n")


def test_every_command_is_had_under_one_name(capsys):
    assert main(["train", "--list"]) == 0
    assert "mnist_nin" in capsys.readouterr().out
    assert {f"cldl.{name}" for name in COMMANDS} == {module for module, _ in ALL.values()}
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in ALL)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"cldl {cldl.__version__}\n"
    assert main(["tain"]) == 2
    assert "invalid choice: 'tain'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["layers.py", "data/__init__.py", "engine.py"])
def test_a_module_of_the_users_in_the_place_of_a_package_is_named_in_one_line(tmp_path, name):
    other = tmp_path / name
    other.parent.mkdir(exist_ok=True)
    other.write_text("")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    run = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 60}
    command = subprocess.run([sys.executable, "-m", "cldl.train", "--list"], check=False, **run)
    package = name.removesuffix("/__init__.py").removesuffix(".py")
    sentence = (
        f"cldl needs its own package {package!r}, and Python finds {other}: rename it, or start in another folder."
    )
    assert (command.returncode, command.stdout, command.stderr) == (2, "", f"error: {sentence}\n")
    imported = subprocess.run([sys.executable, "-c", "import cldl"], check=False, **run)
    assert imported.stderr.splitlines()[-1] == f"ImportError: {sentence}"


def test_the_command_to_repeat_runs_in_an_environment_that_is_not_active(tmp_path, monkeypatch):
    monkeypatch.delenv("MAKELEVEL", raising=False)
    environment = os.environ | {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    code = "from cldl.commands import again; print(again('cldl.train', '--resume', '--run', 'my runs/one'))"
    shown = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    interpreter, *words = shlex.split(shown.stdout)
    assert os.path.samefile(tmp_path / interpreter, sys.executable)
    assert words == ["-m", "cldl.train", "--resume", "--run", "my runs/one"]


def test_in_an_active_environment_it_is_plain_python_and_under_make_it_is_makes(tmp_path, monkeypatch):
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: sys.executable)
    assert again("cldl.train", "--resume") == "python -m cldl.train --resume"
    monkeypatch.setenv("MAKELEVEL", "1")
    assert again("cldl.train", "--resume", "--run", "my runs/one") == (
        """make mnist ARGS='--resume --run '"'"'my runs/one'"'"''"""
    )
    assert again("cldl.train", "mnist_nin", "--seed", 1) == "make mnist ARGS='--seed 1'"
    assert again("cldl.train", "mnist_nin") == "make mnist"
    assert again("cldl.train", "mnist_nin_shared", "--seed", 1) == "python -m cldl.train mnist_nin_shared --seed 1"
    assert again("cldl.report") == "python -m cldl.report"


def test_a_press_after_the_first_step_is_answered_at_once(capfd):
    with signals.Interruption() as interruption:
        interruption.defer()
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.asked
    assert "stopping after this step or test; once more, and it stops at once" in capfd.readouterr().err


COMPILING = """
import sys, time
from cldl.commands import leave
from engine.runtime.cpu import CpuBackend
from tests.cldl import synthetic

def compile_slowly(*_):
    print("compiling", flush=True)
    time.sleep(30)

CpuBackend._run_chunks = compile_slowly
leave(lambda: synthetic.command("mnist_nin", "--threads", 1, "--run", sys.argv[1]))
"""


def test_ctrl_c_while_kernels_compile_ends_at_once_with_one_line_and_the_run_can_be_resumed(tmp_path):
    program = COMPILING.replace("def compile", "sys.stdout = open(sys.argv[2], 'w')\ndef compile").replace(
        '"compiling"', '"compiling", file=sys.__stdout__'
    )
    ended = interrupted(["-c", program, str(tmp_path / "run"), os.devnull])
    assert ended == (130, "compiling\n", "stopped.\n")
    assert (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_is_one_line_and_status_130(kind, capsys, signals_of_a_terminal):
    @guarded
    def main(argv=None):
        os.kill(os.getpid(), kind)
        return 0

    before = [signal.getsignal(kind) for kind in KINDS]
    assert main() == 130
    assert capsys.readouterr().err == "stopped.\n"
    assert [signal.getsignal(kind) for kind in KINDS] == before


def test_a_closed_terminal_is_ignored_where_it_was_ignored_before(capsys):
    @guarded
    def main(argv=None):
        os.kill(os.getpid(), signal.SIGHUP)
        return 0

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interruption_is_immediate_then_deferred_then_immediate_again():
    with pytest.raises(KeyboardInterrupt), signals.Interruption():
        os.kill(os.getpid(), signal.SIGINT)
    with signals.Interruption() as interruption:
        interruption.defer()
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A network that needs no time, no report, and a folder of our own."""
    monkeypatch.setattr("cldl.recipes.recipe.Recipe.build_network", lambda recipe: tiny.network())
    monkeypatch.setattr("cldl.reporting.run_report.write_report", lambda *arguments: "none")
    monkeypatch.chdir(tmp_path)


def test_a_command_runs_in_any_thread(small, tmp_path):
    statuses = []
    thread = threading.Thread(target=lambda: statuses.append(command(*SMALL, "--run", "run")))
    thread.start()
    thread.join()
    assert statuses == [0]


def test_a_signal_ends_a_training_after_its_step(small, tmp_path, monkeypatch, capsys, signals_of_a_terminal):
    class Closing(train.Display):
        def step(self, trainer):
            super().step(trainer)
            os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setattr(train, "Display", Closing)
    assert command(*SMALL, "--run", "run", "--batch-size", "8") == 130
    assert "stopped in epoch 1 after 1 of 6 steps" in capsys.readouterr().out


def on(stream, monkeypatch, *arguments):
    """A training with this standard output."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        return command(*SMALL, *arguments)


def test_a_training_without_standard_output_trains(small, tmp_path, monkeypatch):
    assert on(None, monkeypatch, "--run", "run") == 0
    assert (tmp_path / "run" / "checkpoint.h5").exists()


def test_an_output_of_ascii_shows_other_characters_by_their_code(small, tmp_path, monkeypatch):
    with open("out.txt", "w", encoding="ascii") as file:
        assert on(file, monkeypatch, "--run", "\u00fc") == 0
        assert file.errors == "strict"
    assert "run       \\xfc, seed 0\n" in (tmp_path / "out.txt").read_text()


FULL = "error: the output cannot be written (No space left on device): send it somewhere else.\n"
needs_a_full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")


@needs_a_full_device
def test_an_output_that_is_full_is_one_sentence(small, monkeypatch, capsys):
    with open("/dev/full", "w") as full:
        assert on(full, monkeypatch, "--run", "run") == 2
    assert capsys.readouterr().err == FULL


@needs_a_full_device
def test_an_output_that_is_full_is_not_told_again_at_exit():
    with open("/dev/full", "w") as full:
        program = [sys.executable, "-m", "cldl.train", "--list"]
        done = subprocess.run(program, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, FULL)


def test_a_failure_that_is_not_of_the_output_is_not_taken_for_one(capsys):
    @guarded
    def main(argv=None):
        raise OSError("something else")

    with pytest.raises(OSError, match="something else"):
        main()


def test_a_command_takes_no_notice_of_a_notebooks_backend_that_is_not_installed(monkeypatch):
    @guarded
    def main(argv=None):
        seen.append(os.environ.get("MPLBACKEND"))
        return 0

    seen = []
    for backend in ("module://not_installed.backend", "module://json.backend", "agg"):
        monkeypatch.setenv("MPLBACKEND", backend)
        main()
        assert os.environ["MPLBACKEND"] == backend
    assert seen == [None, "module://json.backend", "agg"]
