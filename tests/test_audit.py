"""What the audit of packages and vendored files would catch."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


audit, vendor = load("audit_packages"), load("vendor_static")


def package(name: str = "thing", **told: str) -> SimpleNamespace:
    metadata = Message()
    metadata["Name"] = name
    for field, value in told.items():
        metadata[field.replace("_", "-")] = value
    return SimpleNamespace(metadata=metadata)


def locked(name: str = "thing", version: str = "1.0", lock: str = "base"):
    return audit.Locked(name, version, lock)


def test_what_is_locked_here_is_in_order():
    wrong: list[str] = []
    found = [*audit.read(ROOT / "requirements", wrong)]
    project = audit.tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [*wrong, *audit.outgrown(found, project)] == []
    assert len(found) > 1000


def test_every_licence_here_is_known_to_be_good():
    found = [*audit.read(ROOT / "requirements", [])]
    there = {audit.canonicalize_name(one.metadata["Name"]): one for one in audit.distributions()}
    assert [*audit.licences(found, there)] == []


@pytest.mark.parametrize("line", ["thing>=1", "thing", "-e .", "thing==1.*", "git+https://x/y"])
def test_a_version_that_is_not_exact_is_wrong(tmp_path, line):
    (tmp_path / "base.txt").write_text(f"other==1.0\n{line}\n")
    wrong: list[str] = []
    assert [one.name for one in audit.read(tmp_path, wrong)] == ["other"]
    assert "no exact version" in wrong[0]


def test_a_lock_that_was_not_made_anew_is_wrong():
    project = {"dependencies": ["thing>=2"], "optional-dependencies": {"dev": ["other"]}}
    wrong = [*audit.outgrown([locked()], project)]
    assert [one.split(";")[0] for one in wrong] == [
        "base.txt has thing 1.0",
        "dev.txt has other not",
    ]


@pytest.mark.parametrize(
    ("expression", "is_good"),
    [
        ("MIT", True),
        ("MIT AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("AGPL-3.0-only OR GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("", False),
    ],
)
def test_one_side_of_every_or_must_be_allowed(expression, is_good):
    assert audit.is_allowed(expression) == is_good


@pytest.mark.parametrize(
    "told",
    [
        {"License_Expression": "GPL-3.0-or-later"},
        {"License": "Ask me"},
        {"Classifier": "License :: Free for non-commercial use"},
        {"Classifier": "License :: Other/Proprietary License"},
        {},
    ],
)
def test_a_licence_that_nobody_looked_at_is_wrong(told):
    assert len([*audit.licences([locked()], {"thing": package(**told)})]) == 1


@pytest.mark.parametrize(("lock", "num_wrong"), [("dev", 0), ("test", 0), ("base", 1)])
def test_an_exception_holds_for_its_locks_alone(lock, num_wrong):
    there = {"djlint": package("djlint", License_Expression="GPL-3.0-or-later")}
    assert len([*audit.licences([locked("djlint", lock=lock)], there)]) == num_wrong


class Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        results = [
            {"vulns": [{"id": "PYSEC-1"}]} if one["package"]["name"] == "bad" else {}
            for one in asked
        ]
        body = json.dumps({"results": results}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args) -> None:
        pass


@pytest.fixture
def service():
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_a_known_vulnerability_is_wrong_unless_it_was_accepted(service, monkeypatch):
    rows = [locked("bad"), locked("good")]
    assert audit.vulnerable(rows, service)[0] == ["bad 1.0 has PYSEC-1 (https://osv.dev/PYSEC-1)"]
    monkeypatch.setattr(audit, "ACCEPTED", {"PYSEC-1": "does not reach us"})
    assert audit.vulnerable(rows, service)[0] == []


def test_without_a_network_it_is_said_and_nothing_fails():
    found, told = audit.vulnerable([locked()], "http://127.0.0.1:9")
    assert found == []
    assert told == "known vulnerabilities: not checked, no answer (ConnectError)"


@pytest.fixture
def vendored(tmp_path, monkeypatch):
    """A vendored script, and the lock that names it."""
    monkeypatch.setattr(vendor, "STATIC", tmp_path)
    monkeypatch.setattr(vendor, "LOCK", tmp_path / "vendor" / "vendor.lock.json")
    texts = {"a.js": 'version="1.2.3"', "LICENSE": "The MIT License (MIT)"}
    row = {"name": "a", "version": "1.2.3", "licence": "MIT", "files": {}}
    for name, text in texts.items():
        path = vendor.place(row, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        row["files"][name] = vendor.digest(text.encode())
    return {"packages": [row]}


def test_vendored_files_that_say_what_the_lock_says_are_in_order(vendored):
    assert vendor.check(vendored) == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.js", 'version="1.2.4"', "says it is 1.2.4"),
        ("LICENSE", "GNU GENERAL PUBLIC LICENSE", "not the text of MIT"),
    ],
)
def test_a_file_that_says_something_else_is_wrong(vendored, name, text, words):
    row = vendored["packages"][0]
    vendor.place(row, name).write_text(text)
    row["files"][name] = vendor.digest(text.encode())
    assert words in vendor.check(vendored)[0]


def test_a_changed_and_an_unlisted_file_are_wrong(vendored):
    row = vendored["packages"][0]
    vendor.place(row, "a.js").write_text("changed")
    vendor.place(row, "b.js").write_text("more")
    assert len(vendor.check(vendored)) == 2
