import json

from benchmarks import start


def test_the_way_to_the_first_step_is_timed_twice(capsys, monkeypatch):
    whole = start.seconds_to_first_step
    asked = []

    def once(data, **environment):
        asked.append(environment)
        return whole(data) if len(asked) == 1 else float(len(asked))  # with an empty cache the real one takes long

    monkeypatch.setattr(start, "seconds_to_first_step", once)
    assert start.main(["--synthetic", "--starts", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"second": [2.0, 3.0], "first_ever": 4.0}
    assert [list(environment) for environment in asked] == [[], [], [], ["NUMBA_CACHE_DIR"]]


def test_why_a_training_does_not_start_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert start.main(["--starts", "0"]) == 2
    capsys.readouterr()
    assert start.main(["--cache", str(tmp_path / "file")]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: the training did not start (")
    assert printed.count("\n") == 1
