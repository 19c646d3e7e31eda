from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
import yaml
from django.conf import settings
from django.urls import Resolver404, resolve

FILE = settings.ROOT / "docker-compose.yml"
SERVICES = yaml.safe_load(FILE.read_text())["services"]
OURS = {name: body for name, body in SERVICES.items() if "build" in body}


def test_it_is_a_compose_file():
    check = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    subprocess.run([sys.executable, "-m", *check], check=True)


def test_every_queue_has_a_worker_and_every_worker_a_queue():
    queues = {
        body["command"][body["command"].index("-Q") + 1]
        for body in OURS.values()
        if "celery" in body["command"]
    }
    assert queues == set(settings.QUEUES)


def test_every_variable_is_one_the_settings_read():
    source = (settings.ROOT / "kosweb/settings.py").read_text()
    read = set(re.findall(r'environment\.\w+\("(\w+)"', source))
    given = {name for body in OURS.values() for name in body["environment"]}
    assert {name.removesuffix("_FILE") for name in given} <= read


def test_the_web_is_asked_for_its_health_where_it_answers():
    url = re.search(r"127.0.0.1:8000(/\w+)", SERVICES["web"]["healthcheck"]["test"][-1])
    try:
        resolve(url[1])
    except Resolver404:
        pytest.fail(f"{url[1]} is not an address of the console")


def test_every_command_names_a_program_that_exists():
    for body in OURS.values():
        program, *arguments = body["command"]
        module = arguments[1] if arguments[0] == "-m" else program
        assert module == "python" or find_spec(module), body["command"]


def test_secrets_come_as_files():
    for body in OURS.values():
        assert set(body["secrets"]) == {"database_password", "secret_key"}
