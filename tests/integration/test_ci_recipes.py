"""The GitHub Action, the GitLab job and the Dockerfile: their commands run in a plain shell. The engines are fake.

Stand-ins replace the programs that need a network: ``gh``, ``pip``, and ``edgesqz export``, whose files exist already.
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import fakes
from tests.pages import ROOT, blocks

FILE = "squeezenet-nano.int8.tflite"
RUN_AS_GITHUB = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")


@dataclasses.dataclass(frozen=True)
class Machine:
    """A folder with the working directory and the stand-ins of a CI job."""

    home: Path
    exported: Path

    def variables(self, **others: str) -> dict[str, str]:
        path = f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"PATH": path, "EDGESQZ_WORKSPACE": str(self.exported)} | others

    def install(self, name: str, script: str) -> None:
        """Install a stand-in, which appends its arguments to ``NAME.log``."""
        program = self.home / "bin" / name
        program.write_text(f'#!/bin/bash\necho "$@" >> {self.home}/{name}.log\n{script}\n')
        program.chmod(0o755)

    def log(self, name: str) -> list[str]:
        path = self.home / f"{name}.log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(fake_exported: Path, tmp_path: Path) -> Machine:
    found = Machine(tmp_path, fake_exported)
    (tmp_path / "bin").mkdir()
    export = json.dumps({"files": [{"path": str(fake_exported / FILE)}]})
    command = f'exec {sys.executable} -c "from edgesqz.cli import main; main()" "$@"'
    found.install("edgesqz", f"if [ $1 = export ]; then echo '{export}'; else {command}; fi")
    found.install("python", f'if [ "$1 $2" != "-m pip" ]; then exec {sys.executable} "$@"; fi')
    return found


def grow(machine: Machine) -> None:
    """Replace the exported file by one of twice the size."""
    content = fakes.content(dtype="int8", size_bytes=2 * fakes.SIZES["int8.tflite"])
    manifest = json.loads((machine.exported / f"{FILE}.json").read_text())
    fakes.write(machine.exported / FILE, content, dataset=manifest["dataset"])


# The GitHub Action


class Action:
    """Runs the steps of ``action.yml`` as GitHub does."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.action: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())

    def run(self, **inputs: str) -> int:
        """Run the steps with these inputs, and return the exit code of the one that fails, or else 0."""
        values = {f"inputs.{name}": each.get("default", "") for name, each in self.action["inputs"].items()}
        values |= {f"inputs.{name}": value for name, value in inputs.items()}
        values |= {"github.token": "secret", "github.event.pull_request.number": "17"}
        home = self.machine.home
        fixed = {
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_REPOSITORY": "me/mine",
            "GITHUB_STEP_SUMMARY": str(home / "summary.md"),
            "GITHUB_OUTPUT": str(home / "output"),
            "RUNNER_TEMP": str(home),
        }
        for step in self.action["runs"]["steps"]:
            if "run" not in step:
                continue
            (home / "output").write_text("")
            given = {name: self._filled(text, values) for name, text in step.get("env", {}).items()}
            done = subprocess.run(
                [*RUN_AS_GITHUB, step["run"]], env=self.machine.variables(**fixed, **given), check=False
            )
            if done.returncode:
                return done.returncode
            outputs = (line.partition("=") for line in (home / "output").read_text().splitlines())
            values |= {f"steps.{step.get('id')}.outputs.{name}": value for name, _, value in outputs}
        return 0

    @staticmethod
    def _filled(text: str, values: dict[str, str]) -> str:
        return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: values[found[1]], text)


# Lists the comment that it has posted before, if any.
GH = """
if [ "$3" = --paginate ]; then
    [ ! -f {home}/posted ] || echo 41
else
    cp {home}/comment.md {home}/posted
fi
"""


def test_the_action_measures_compares_and_comments(machine: Machine) -> None:
    machine.install("gh", GH.format(home=machine.home))
    options = {"model": "squeezenet-nano", "bench": "--rounds 6 --limit 6 --max-size 100kB", "against": "old.json"}
    assert Action(machine).run(**options) == 0
    assert machine.log("python")[0].startswith(f"-m pip install --quiet --constraint {ROOT}/constraints.txt")
    assert machine.log("edgesqz")[0] == "export squeezenet-nano --quantize --json"
    listed, posted = machine.log("gh")
    assert listed.startswith("api repos/me/mine/issues/17/comments --paginate")
    assert posted.startswith("api repos/me/mine/issues/17/comments --method POST --field body=@")
    assert "compared with" not in (machine.home / "posted").read_text()

    shutil.copy("report.json", "old.json")
    grow(machine)
    assert Action(machine).run(**options, compare="--max-growth 5") == 3
    assert machine.log("gh")[-1].startswith("api repos/me/mine/issues/comments/41 --method PATCH --field body=@")
    mark, _, comment = (machine.home / "posted").read_text().partition("\n")
    assert mark == "<!-- edgesqz: squeezenet-nano -->"
    assert "30 test images" not in comment and "6 test images" in comment
    assert f"- {FILE}: growth 100.0 %, at most 5.0 %" in comment
    assert (machine.home / "summary.md").read_text().endswith(comment)


def test_the_action_fails_for_a_missed_budget_after_it_has_published_even_if_it_cannot_comment(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.install("gh", "exit 1")
    assert Action(machine).run(model="squeezenet-nano", bench="--rounds 1 --limit 6 --max-size 1kB") == 3
    assert f"{FILE}: size 12.0 kB, at most 1.0 kB" in (machine.home / "summary.md").read_text()
    assert "::warning::cannot comment on the pull request" in capfd.readouterr().out


def test_the_action_ends_with_the_error_of_a_bench_that_measures_nothing(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("report.json").write_text("{}")
    Path("old.json").write_text("{}")
    (machine.home / "tables.md").write_text("of an earlier run")
    assert Action(machine).run(model="squeezenet-nano", bench="--rounds 0", against="old.json") == 1
    assert capfd.readouterr().err.strip() == "error: --rounds must be at least 1, got 0"
    assert not (machine.home / "summary.md").exists()
    assert machine.log("gh") == []


def test_the_action_describes_every_input() -> None:
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    assert all(each["description"].endswith(".") for each in inputs.values())


# The GitLab job


@pytest.fixture
def notes() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server like GitLab's: its address, and the paths and bodies of the notes that it received."""
    received: list[tuple[str, str]] = []

    class Notes(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, urllib.parse.parse_qs(body)["body"][0]))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the output of the tests clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Notes) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def gitlab_script() -> str:
    jobs = (yaml.safe_load(block["code"]) for block in blocks(ROOT / "docs/how-to/ci.md", "yaml"))
    (job,) = (job["model"] for job in jobs if "model" in job)
    return "\n".join(job["script"])


def test_the_gitlab_job_compares_with_the_default_branch(
    machine: Machine, images: Path, notes: tuple[str, list[tuple[str, str]]]
) -> None:
    address, received = notes
    (machine.home / "photos").symlink_to(images)
    (machine.home / "models").mkdir()
    shutil.copy(machine.exported / "squeezenet-nano.fp32.tflite", machine.home / "models/first.int8.tflite")
    script = gitlab_script().replace("bench animals.int8.tflite", f"bench {FILE} --rounds 6 --limit 6")

    def run(script: str = script, **variables: str) -> int:
        return subprocess.run(["bash", "-e", "-c", script], env=machine.variables(**variables), check=False).returncode

    assert run(script.replace("--rounds 6", "--no-such-option"), REPORT_CACHE="pull-push") == 2
    assert run(REPORT_CACHE="pull-push") == 0
    assert Path("old.json").read_bytes() == Path("report.json").read_bytes()
    assert received == []
    grow(machine)
    ids = {"CI_API_V4_URL": address, "CI_PROJECT_ID": "4", "CI_MERGE_REQUEST_IID": "2", "GITLAB_TOKEN": "secret"}
    assert run(REPORT_CACHE="pull", **ids) == 3
    ((path, body),) = received
    assert path == "/projects/4/merge_requests/2/notes"
    assert f"- {FILE}: growth 100.0 %, at most 5.0 %" in body
    assert Path("old.json").read_bytes() != Path("report.json").read_bytes()


# The Dockerfile


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    words = (line.partition(" ") for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line)
    return [(name, arguments) for name, _, arguments in words]


def within(root: Path, text: str) -> str:
    """Move the folders of the image into another root."""
    return re.sub(r"(?<![\w.)])/(opt|source|work)\b", rf"{root}/\1", text)


def test_the_commands_of_the_image_run_in_a_plain_environment(machine: Machine) -> None:
    """Nothing is installed: the command in the image is that of this environment."""
    machine.install("pip", "exit 0")
    root = machine.home / "root"
    shutil.copytree(ROOT, root / "source", ignore=lambda folder, names: {*names} - {"constraints.txt"})
    variables = machine.variables()
    for name, arguments in instructions():
        if name == "ENV":
            found = dict(re.findall(r"(\w+)=(\S+)", within(root, arguments)))
            variables |= {key: value.replace("$PATH", variables["PATH"]) for key, value in found.items()}
        elif name == "RUN":
            subprocess.run(["sh", "-e", "-c", within(root, arguments)], env=variables, check=True)
    (installed,) = machine.log("pip")
    assert f"--constraint {root}/source/constraints.txt {root}/source[plot]" in installed
    assert not re.search(r"index|https?:|--find-links", (ROOT / "Dockerfile").read_text())
    assert (root / "work").stat().st_mode & 0o7777 == 0o1777

    (root / "opt/edgesqz/bin/edgesqz").symlink_to(machine.home / "bin/edgesqz")
    words = [word for name, text in instructions() if name in ("ENTRYPOINT", "CMD") for word in json.loads(text)]
    done = subprocess.run(words, cwd=root / "work", env=variables, capture_output=True, text=True, check=True)
    assert "Turn an image dataset into a classifier" in done.stdout


def test_the_image_does_not_run_as_root_and_is_built_from_what_is_needed() -> None:
    assert dict(instructions())["USER"] not in ("root", "0")
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in sent)
    linked = {path.readlink().name for path in (ROOT / "edgesqz").iterdir() if path.is_symlink()}
    assert {"edgesqz", "pyproject.toml", "constraints.txt", "README.md", *linked} <= set(sent)
