from __future__ import annotations

from kos.weights.survival.advice import recommend


def line(kind: str, gain: float, kl: float, *, slope: float = 1.0, bits: float = 4.5) -> dict:
    kept = {name: {"mean": value, "low": value, "high": value} for name, value in
            (("gain_kept", gain), ("kl", kl))}  # fmt: skip
    weights = {"slope": slope, "error": 0.1}
    return {"kind": kind, "label": kind, "bits": bits, "all": weights, "behaviour": kept}


# The table of SmolLM2-135M: gain kept and KL of six formats.
TABLE = [
    line("bf16", 0.932, 0.0019, bits=16),
    line("int4", 0.018, 0.157, slope=0.021),
    line("int4_stochastic", 0.91, 0.022),
    line("int4_activation_aware", 0.878, 0.006),
    line("nvfp4", 1.049, 0.121),
    line("nvfp4_mse", 0.613, 0.1, slope=0.6),
]


def test_the_small_format_closest_to_what_was_trained_is_taken():
    advice = recommend(TABLE, is_int4=True)
    assert advice.kind == "int4_activation_aware"
    assert "keeps 88 %" in advice.sentences[0]


def test_it_says_how_far_nvfp4_is_and_what_failed():
    text = " ".join(recommend(TABLE, is_int4=True).sentences)
    assert "20.2 times as far" in text
    assert "Not int4. The slope is 0.02: under 0.5" in text
    assert "Not nvfp4_mse. The gain kept is 61 %" in text


def test_of_two_as_close_the_one_that_keeps_more_is_taken():
    found = recommend([line("a", 0.85, 0.020), line("b", 0.95, 0.021)], is_int4=True)
    assert found.kind == "b"


def test_without_answers_it_is_a_guess_from_the_weights():
    known = [{**one, "behaviour": None} for one in TABLE if one["kind"] != "int4"]
    found = recommend(known, is_int4=True)
    assert "can mislead" in found.sentences[0]


def test_where_nothing_passes_the_adapter_stays_beside_its_base():
    found = recommend([TABLE[1]], is_int4=True)
    assert found.kind == "online_lora"
    assert "INT4 base" in found.label
    assert "Not int4." in found.sentences[1]


def test_the_adapter_beside_its_base_is_named_with_its_price_and_never_taken_for_a_merge():
    beside = {**line("int4_online", 1.0, 0.0001), "is_online": True}
    found = recommend([*TABLE, beside], is_int4=True)
    assert found.kind == "int4_activation_aware"
    assert "int4_online would diverge by 0.0001 nats a token, at fewer" in found.sentences[-1]
    refused = recommend([TABLE[1], beside], is_int4=True)
    assert "int4_online keeps 100 % of the gain" in refused.sentences[1]
