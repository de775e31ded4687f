"""`make bench` refuses what it cannot measure before it prepares anything."""

from __future__ import annotations

import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "'0'; expected a number from 1 to 1024"),
        (["--rounds", "many"], "'many'; expected a number from 1 to 1024"),
        (["--threads", "2,"], "''; expected a number from 1 to 1024"),
        (["--threads", "0"], "'0'; expected a number from 1 to 1024"),
        (["--cases", "a,z"], "--cases: there is no case 'z'; expected some of a,b,"),
        (["--beside", "--quantized"], "--beside measures all cases, in floats and in 8 bits: give it without"),
        (["--beside", "--cases", "a"], "--beside measures all cases, in floats and in 8 bits: give it without"),
        (["--cases", ""], "--cases: there is no case ''; expected some of a,b,"),
    ],
)
def test_a_wrong_value_is_told_before_anything_runs(arguments, message, monkeypatch, capsys) -> None:
    import benchmark

    monkeypatch.setattr(sys, "argv", ["benchmark.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
