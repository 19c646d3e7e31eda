"""A start from a file that is broken, or made to break its reader: a sentence, never a fault."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.runs.start import uploading
from kos.config import JOBS
from kos.errors import UserError

QUICK = settings(max_examples=80, suppress_health_check=list(HealthCheck))
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just([[]]),
    st.sampled_from([10**400, "\0", "\ud800", {"a": {}}, [1, 2], {"kind": "?"}, -(2**70)]),
)  # fmt: skip


def upload(text):
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    session = {}
    try:
        uploading.keep(session, SimpleUploadedFile("start.yaml", raw))
    except UserError as error:
        assert str(error).encode()
        return None
    # The session is kept as JSON.
    return json.dumps(session, allow_nan=False)


@QUICK
@given(text=st.one_of(st.text(max_size=60), st.binary(max_size=60)))
@example("kind: [train]")
@example("kind: {a: b}")
@example("kind: train\nconfig: 2024-99-99")
@example("kind: train\nseed: " + "9" * 5000)
@example('kind: train\nname: "\\0"')
@example("kind: &k train\nconfig: *k")
@example("[" * 20_000)
@example("kind: train\nconfig: {steps: .inf}")
def test_any_file_is_kept_or_refused(text):
    upload(text)


@QUICK
@given(data=st.data())
def test_any_knob_with_an_odd_value_is_kept_or_named(data):
    kind = data.draw(st.sampled_from([*JOBS]))
    config = JOBS[kind]().model_dump(mode="json")
    config[data.draw(st.sampled_from([*config]))] = data.draw(ODD)
    said = {
        "kind": kind,
        "config": config,
        data.draw(st.sampled_from(uploading.ABOUT)): data.draw(ODD),
    }
    upload(json.dumps(said))


@pytest.mark.parametrize("text", ["kind: [train]", "kind: {a: 1}", "kind: 7"])
def test_a_kind_that_is_no_word_is_named(text):
    with pytest.raises(UserError, match="the file's kind is"):
        uploading.keep({}, SimpleUploadedFile("a.yaml", text.encode()))
