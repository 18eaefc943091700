"""Help, exit codes, configuration check: what a user meets before the first span."""
import re

import pytest

from conftest import ROOT, get


def test_no_subcommand_shows_usage(spanmill):
    done = spanmill()
    assert done.returncode == 2
    assert "usage: spanmill SUBCOMMAND" in done.stderr


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["-h"]])
def test_help_lists_every_subcommand(spanmill, arguments):
    done = spanmill(*arguments)
    assert done.returncode == 0
    names = re.findall(r"^SM_COMMAND\((\w+)\)", (ROOT / "app/commands.def").read_text(), re.M)
    for name in names:
        assert re.search(rf"^  {name} ", done.stdout, re.M)
        own = spanmill(name, "--help")
        assert own.returncode == 0 and own.stdout.startswith(f"usage: spanmill {name}")
        assert own.stdout == spanmill("help", name).stdout


@pytest.mark.parametrize("arguments", [["version"], ["--version"], ["-V"]])
def test_version(spanmill, arguments):
    done = spanmill(*arguments)
    assert done.returncode == 0
    assert re.fullmatch(r"spanmill \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["chekc"], 'there is no subcommand "chekc"; did you mean "check"?'),
        (["help", "chekc"], 'did you mean "check"?'),
        (["help", "config", "windwos"], 'there is no configuration key "windwos"; did you mean "windows"?'),
        (["help", "config", "colour"], 'there is no configuration key "colour"; see spanmill help config'),
        (["check"], "needs a FILE"),
        (["check", "--sett", "x"], "did you mean --set?"),
        (["version", "x"], "takes no arguments"),
    ],
)
def test_wrong_usage_is_named(spanmill, arguments, said):
    done = spanmill(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_help_config(spanmill):
    done = spanmill("help", "config")
    assert done.returncode == 0
    assert "windows.idle (duration, 10ms to 1h; default 15s)" in done.stdout
    assert "windows.idle" not in spanmill("help", "config", "sinks").stdout


@pytest.mark.parametrize("topic, page", [("config", "configuration"), ("metrics", "metrics"), ("reasons", "drop-reasons")])
def test_reference_is_what_the_binary_prints(spanmill, topic, page):
    text = (ROOT / f"docs/reference/{page}.md").read_text()
    assert spanmill("help", topic, "--markdown").stdout == text


def test_help_metrics(spanmill):
    done = spanmill("help", "metrics")
    assert done.returncode == 0
    assert "spanmill_sink_spans_dropped_total (counter; sink; reason: queue_full, retries_exhausted, shutdown)" in done.stdout
    for name in re.findall(r'"(spanmill_\w+)"', (ROOT / "pipeline/stats.def").read_text()):
        assert f"  {name} (" in done.stdout


def test_every_metric_of_a_daemon_is_in_the_reference(daemon):
    known = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/reference/metrics.md").read_text(), re.M))
    scraped = set(re.findall(r"^# TYPE (\S+)", get(daemon().urls["Prometheus"]), re.M))
    assert "spanmill_spans_received_total" in scraped
    assert scraped - known == set()


def test_help_reasons(spanmill):
    done = spanmill("help", "reasons")
    assert done.returncode == 0
    for label in re.findall(r'SM_REJECT\(\w+, "(\w+)"', (ROOT / "span/reject.def").read_text()):
        assert f"\n  {label}\n" in done.stdout


def test_check_a_good_file(spanmill, tmp_path):
    file = tmp_path / "good.yaml"
    file.write_text("windows:\n  idle: ${IDLE:-3s}\nrules:\n  - {name: errors, when: '{ status = error }', keep: true}\n")
    done = spanmill("check", file)
    assert (done.returncode, done.stdout) == (0, f"{file}: ok\n")


def test_check_names_every_problem(spanmill, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("windows:\n  idel: 3s\n  max_age: 3x\nlog: {level: wran}\n")
    done = spanmill("check", file)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f'{file}:2:3: windows: unknown key "idel"; did you mean "idle"?',
        f'{file}:3:12: windows.max_age: "3x" is not a duration; write for example 500ms, 6s, 1h30m or 7d',
        f'{file}:4:14: log.level: "wran" is none of debug|info|warn|error; did you mean "warn"?',
    ]


def test_check_names_queries_and_contradictions_too(spanmill, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("rules:\n  - {name: a, when: '{ status = eror }', ratio: 110%}\n")
    done = spanmill("check", file)
    assert done.returncode == 2
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [[f"{file}:2:49", "rules[0].ratio"],
                                                                         [f"{file}:2:33", "rules[0].when"]]
    file.write_text("windows: {idle: 2m, max_age: 1m}\nlisten: {otlp_http: ':4318', zipkin: ':4318'}\n")
    assert spanmill("check", file).stderr.splitlines() == [
        f"{file}:2:22: listen.otlp_http and listen.zipkin both want :4318",
        f"{file}:1:30: windows.max_age must not be shorter than windows.idle",
    ]


def test_check_with_assignments(spanmill, tmp_path):
    file = tmp_path / "empty.yaml"
    file.write_text("")
    assert spanmill("check", file, "--set", "windows.idle=2s").returncode == 0
    done = spanmill("check", file, "-s", "windows.idle=2y")
    assert done.returncode == 2
    assert "windows.idle" in done.stderr


def test_check_a_missing_file(spanmill, tmp_path):
    done = spanmill("check", tmp_path / "none.yaml")
    assert done.returncode == 2
    assert "cannot be opened" in done.stderr


def test_examples_are_valid(spanmill, tmp_path):
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert blocks
    for i, block in enumerate(blocks):
        file = tmp_path / f"readme{i}.yaml"
        file.write_text(block)
        assert spanmill("check", file).stdout == f"{file}: ok\n"
    for file in sorted((ROOT / "deploy").glob("*.yaml")):
        assert spanmill("check", file).stdout == f"{file}: ok\n"
