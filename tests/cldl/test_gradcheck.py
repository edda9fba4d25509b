"""python -m cldl.gradcheck: it covers every layer and loss, tells failure by its exit status, and prints or writes JSON."""

import inspect
import json

import pytest

from cldl import hinge, loss
from cldl.gradcheck import check_all, chooser, main
from cldl.verification import cases, end_to_end
from engine.random import Key
from tests.broken.layers.linear import SetsInsteadOfAdds


def test_two_layers_and_the_loss_pass_and_are_listed(capsys):
    assert main(["--layer", "Linear", "--layer", "ReLU", "--layer", "cldl_loss", "--examples", "2"]) == 0
    printed = capsys.readouterr().out
    for word in ("Linear", "ReLU", "cldl_loss", "passed", "worst relative error"):
        assert word in printed


def test_json_holds_the_same_as_the_table(capsys):
    assert main(["--layer", "Flatten", "--examples", "3", "--seed", "7", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"]
    assert found["seed"] == 7
    (row,) = found["checked"]
    assert (row["name"], row["examples"], row["checks"], row["failures"]) == ("Flatten", 3, 48, [])
    assert 0 < row["relative"] <= 1e-7


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_failure_gives_status_1_and_says_what_failed(monkeypatch, capsys, options):
    broken = cases.Case(SetsInsteadOfAdds(), (3,), 2)
    monkeypatch.setitem(cases.LAYERS, "Linear", lambda choose: broken)
    assert main(["--layer", "Linear", "--examples", "1", *options]) == 1
    captured = capsys.readouterr()
    assert "accumulates (SetsInsteadOfAdds, input shape (3,), 2 samples" in captured.out + captured.err


def test_a_wrong_loss_gives_status_1(monkeypatch, capsys):
    right = end_to_end.cldl_loss

    def wrong(logits, *arguments):
        result = right(logits, *arguments)
        for gradient in result.gradients:
            gradient *= 1.01
        return result

    monkeypatch.setattr(end_to_end, "cldl_loss", wrong)
    assert main(["--layer", "cldl_loss", "--examples", "3"]) == 1
    assert "FAILED" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer", "Dense"], "no layer or loss 'Dense'; choose from "),
        (["--examples", "0"], "--examples: 0 is out of range: choose a whole number from 1"),
        (["--seed", "-1"], "--seed: -1 is out of range: choose a whole number from 0"),
        (["--examples", "many"], "--examples: invalid whole number value: 'many'"),
        (["--layr", "ReLU"], "error: there is no option --layr: did you mean --layer?"),
        (["--colour"], "error: there is no option --colour (--help lists them)."),
        (["ReLU"], "error: 'ReLU' is one argument too many (--help lists them)."),
    ],
)
def test_a_wrong_argument_gives_status_2_and_one_line(capsys, options, message):
    assert main(options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_every_loss_of_the_project_is_covered():
    modules = (loss, hinge)
    losses = {
        name for m in modules for name, f in inspect.getmembers(m, inspect.isfunction) if f.__module__ == m.__name__
    }
    public = {name for name in losses if name.endswith("_loss") and not name.startswith(("sample_", "batch_"))}
    assert public
    assert public <= set(end_to_end.END_TO_END)


def test_the_seed_decides_what_is_drawn():
    a, b, c = (chooser(Key(seed)) for seed in (0, 0, 1))
    draws = [[choose(0, 1000) for _ in range(5)] for choose in (a, b, c)]
    assert draws[0] == draws[1] != draws[2]
    choose = chooser(Key(2))
    assert {choose(3, 5) for _ in range(100)} == {3, 4, 5}
    one, two = (check_all(["Linear"], 2, seed=4)[0] for _ in range(2))
    assert one == two
