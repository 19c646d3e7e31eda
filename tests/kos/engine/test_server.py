"""The Tinker-compatible server, asked as the public SDK asks it, and by hand where that cannot."""

from __future__ import annotations

import httpx
import pytest
import torch

pytest.importorskip("tinker")
import tinker
from tinker import types
from tinker.proto import tinker_public_pb2 as pb
from tinker.proto.request_conv import forward_backward_request_to_proto

from kos.config import Adam, Lora
from kos.engine.base import Datum
from kos.engine.local import LocalEngine
from kos.engine.server import __main__ as command
from kos.engine.server.service import Turns
from kos.engine.server.store import parse
from kos.errors import UserError
from kos.rl.losses.cispo import Cispo
from tests.kos.engine import tiny
from tests.kos.engine.serving import KEY, server

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

ADAM = types.AdamParams(learning_rate=1e-3)
PROMPT = types.ModelInput.from_ints([5, 6, 7])
BOUNDS = {"clip_low_threshold": 0.0, "clip_high_threshold": 5.0}


@pytest.fixture(scope="module")
def url(policy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINKER_TELEMETRY", "0")
        with server(policy, folder, max_models=2) as url:
            yield url


@pytest.fixture(scope="module")
def service(url):
    client = tinker.ServiceClient(base_url=url, api_key=KEY)
    yield client
    client.close("success").result()


@pytest.fixture
def model(service):
    made = service.create_lora_training_client("tiny", rank=4, seed=0, train_unembed=False)
    return made.result()


def sent(tokens=(3, 4, 9), advantage=1.0) -> types.Datum:
    full = [5, 6, 7, *tokens]
    before = [0.0] * 2
    inputs = {
        "target_tokens": full[1:],
        "logprobs": before + [-6.0] * len(tokens),
        "advantages": before + [advantage] * len(tokens),
    }
    return types.Datum(model_input=types.ModelInput.from_ints(full[:-1]), loss_fn_inputs=inputs)


def by_hand(url, path, body, **headers) -> httpx.Response:
    headers = {"X-API-Key": KEY} | headers
    return httpx.post(f"{url}/api/v1/{path}", json=body, headers=headers)


def test_gradients_are_those_of_the_local_engine(model, policy):
    local = LocalEngine.open(policy, tiny.MACHINE, lora=Lora(rank=4, alpha=8), seed=0)
    datum = Datum.of_answer([5, 6, 7], [3, 4, 9], advantage=1.0, logprobs=[-6.0] * 3)
    wanted = local.forward_backward([datum] * 2, Cispo(clip_low=0, clip_high=5))
    pending = model.forward_backward([sent()] * 2, "cispo", BOUNDS)
    stepped = model.optim_step(ADAM)
    found = pending.result()
    assert found.metrics["loss:sum"] == pytest.approx(wanted.loss, rel=1e-5)
    logprobs = found.loss_fn_outputs[0]["logprobs"].to_torch()
    assert logprobs.tolist()[2:] == pytest.approx(wanted.logprobs[0], abs=1e-5)
    norm = local.optim_step(Adam(learning_rate=1e-3))["grad_norm"]
    assert stepped.result().metrics["grad_norm"] == pytest.approx(norm, rel=1e-4)


def test_samples_end_where_they_are_told_and_repeat_with_their_seed(model):
    sampler = model.save_weights_and_get_sampling_client().result()
    how = types.SamplingParams(max_tokens=12, seed=3)
    first, again = (sampler.sample(PROMPT, 3, how).result().sequences for _ in range(2))
    assert [one.tokens for one in first] == [one.tokens for one in again]
    assert len({one.sequence_id for one in first}) == 3
    stop = first[0].tokens[4]
    ended = types.SamplingParams(max_tokens=12, seed=3, stop=[stop])
    cut = sampler.sample(PROMPT, 3, ended).result().sequences[0]
    assert cut.tokens == first[0].tokens[: first[0].tokens.index(stop) + 1]
    assert cut.stop_reason == "stop"


def test_a_stop_string_ends_an_answer_after_it(model, policy):
    sampler = model.save_weights_and_get_sampling_client().result()
    tokenizer = model.get_tokenizer()
    how = types.SamplingParams(max_tokens=12, seed=3)
    tokens = list(sampler.sample(PROMPT, 1, how).result().sequences[0].tokens)
    word = tokenizer.decode(tokens[3:5])
    ended = types.SamplingParams(max_tokens=12, seed=3, stop=word)
    cut = list(sampler.sample(PROMPT, 1, ended).result().sequences[0].tokens)
    assert cut == tokens[: len(cut)]
    assert word in tokenizer.decode(cut)
    assert word not in tokenizer.decode(cut[:-1])


def test_a_sampler_keeps_the_weights_it_was_made_from(model):
    old = model.save_weights_and_get_sampling_client().result()
    text = types.ModelInput.from_ints([5, 6, 7, 3, 4, 9])
    before = old.compute_logprobs(text).result()
    model.forward_backward([sent()], "importance_sampling").result()
    model.optim_step(types.AdamParams(learning_rate=0.05)).result()
    new = model.save_weights_and_get_sampling_client().result()
    assert before[0] is None
    assert sum(new.compute_logprobs(text).result()[3:]) > sum(before[3:]) + 0.1
    assert old.compute_logprobs(text).result() == before


def test_the_bare_base_can_be_sampled(service, policy):
    sampler = service.create_sampling_client(base_model="tiny").result()
    found = sampler.compute_logprobs(types.ModelInput.from_ints([5, 6, 7])).result()
    local = LocalEngine.open(policy, tiny.MACHINE, lora=Lora(rank=4), seed=0)
    assert found[1:] == pytest.approx(local.compute_logprobs([[5, 6, 7]])[0], abs=1e-5)


def test_training_goes_on_from_a_checkpoint_with_or_without_moments(model, service):
    for _ in range(2):
        model.forward_backward([sent()], "cispo", BOUNDS)
        model.optim_step(ADAM).result()
    path = model.save_state("a").result().path
    whole = service.create_training_client_from_state_with_optimizer(path).result()
    bare = service.create_training_client_from_state(path).result()
    ends = []
    for client in (model, whole, bare):
        client.forward_backward([sent((8, 8))], "cispo", BOUNDS)
        client.optim_step(ADAM).result()
        ends.append(client.forward([sent()], "cispo", BOUNDS).result().metrics["loss:sum"])
    assert ends[1] == ends[0]
    assert ends[2] != ends[0]


def test_more_models_than_fit_in_memory_wait_on_disk(service):
    made = [
        service.create_lora_training_client("tiny", rank=4, seed=0, train_unembed=False).result()
        for _ in range(3)
    ]
    losses = []
    for _ in range(2):
        for client in made:
            client.forward_backward([sent()], "cispo", BOUNDS)
            client.optim_step(ADAM).result()
    for client in made:
        losses.append(client.forward([sent()], "cispo", BOUNDS).result().metrics["loss:sum"])
    assert losses[0] == losses[1] == losses[2]


def test_any_loss_works_through_the_sdk_s_custom_path(model):
    def squared(data, logprobs):
        return sum((row**2).sum() for row in logprobs), {}

    found = model.forward_backward_custom([sent()], squared).result()
    assert found.metrics["loss:sum"] > 0
    assert model.optim_step(ADAM).result().metrics["grad_norm"] > 0


def test_a_failed_backward_keeps_half_a_batch_from_the_weights(model):
    before = model.forward([sent()], "cispo", BOUNDS).result().metrics["loss:sum"]
    good = model.forward_backward([sent()], "cispo", BOUNDS)
    bad = model.forward_backward([sent(tokens=(3, 9999))], "cispo", BOUNDS)
    step = model.optim_step(ADAM)
    good.result()
    with pytest.raises(tinker.RequestFailedError, match="beyond the 512"):
        bad.result()
    with pytest.raises(tinker.RequestFailedError, match="nothing was applied"):
        step.result()
    assert model.forward([sent()], "cispo", BOUNDS).result().metrics["loss:sum"] == before


def test_a_loss_that_is_not_offered_is_named(model):
    with pytest.raises(tinker.RequestFailedError, match="no loss 'gspo'"):
        model.forward([sent()], "gspo").result()


def test_an_unembedding_adapter_changes_what_is_sampled(service, policy):
    made = service.create_lora_training_client(
        "tiny", rank=4, seed=0, train_mlp=False, train_attn=False
    ).result()
    made.forward_backward([sent()], "importance_sampling").result()
    made.optim_step(types.AdamParams(learning_rate=0.1)).result()
    sampler = made.save_weights_and_get_sampling_client().result()
    text = types.ModelInput.from_ints([5, 6, 7, 3, 4, 9])
    forward = made.forward([sent()], "cispo", BOUNDS).result().loss_fn_outputs[0]["logprobs"]
    assert sampler.compute_logprobs(text).result()[1:] == pytest.approx(forward.data, abs=1e-4)


def test_weights_can_be_listed_downloaded_and_deleted(model, url):
    path = model.save_weights_external("out").result().path
    rest = tinker.RestClient(base_url=url, api_key=KEY)
    urls = rest.get_external_weights_urls(path).result().urls
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(urls)
    card = httpx.get(urls["adapter_config.json"], headers={"X-API-Key": KEY}).json()
    assert (card["r"], card["lora_alpha"]) == (4, 8.0)
    assert httpx.get(urls["adapter_config.json"]).status_code == 401
    listed = rest.list_checkpoints(model.model_id).result().checkpoints
    assert [one.tinker_path for one in listed] == [path]
    rest.delete_checkpoint_from_tinker_path(path).result()
    assert rest.list_checkpoints(model.model_id).result().checkpoints == []


def test_a_name_that_leads_elsewhere_is_refused():
    for path in ("tinker://a:train:0/weights/../x", "tinker://a:train:0/weights/_own", "/etc"):
        with pytest.raises(UserError, match="no path of saved weights"):
            parse(path)


def test_a_strange_key_host_or_media_type_is_refused(url):
    assert by_hand(url, "create_session", {}, **{"X-API-Key": "tml-other"}).status_code == 401
    assert by_hand(url, "create_session", {}, Host="evil.example").status_code == 421
    plain = httpx.post(f"{url}/api/v1/create_session", headers={"X-API-Key": KEY}, content="{}")
    assert plain.status_code == 415
    assert by_hand(url, "nothing", {}).status_code == 404


def test_an_answer_that_is_gone_is_410_and_a_finished_session_too(url):
    assert by_hand(url, "retrieve_future", {"request_id": "x"}).status_code == 410
    session = by_hand(url, "create_session", {}).json()["session_id"]
    assert by_hand(url, "session_heartbeat", {"session_id": session}).status_code == 200
    assert by_hand(url, f"sessions/{session}/finish", {}).status_code == 200
    assert by_hand(url, "session_heartbeat", {"session_id": session}).status_code == 410


def request_bytes(model_id: str, seq_id: int) -> bytes:
    body = types.ForwardBackwardInput(data=[sent()], loss_fn="cispo", loss_fn_config=BOUNDS)
    asked = types.ForwardBackwardRequest(
        forward_backward_input=body, model_id=model_id, seq_id=seq_id
    )
    return forward_backward_request_to_proto(asked).SerializeToString()


def test_requests_that_overtake_each_other_wait_and_may_be_compressed(service, model, url):
    import zstandard

    headers = {"X-API-Key": KEY, "Content-Type": "application/x-protobuf"}

    def send(seq_id, body, **more) -> str:
        where = f"{url}/api/v1/forward_backward"
        return httpx.post(where, content=body, headers=headers | more).json()["request_id"]

    late = send(2, request_bytes(model.model_id, 2))
    small = zstandard.ZstdCompressor().compress(request_bytes(model.model_id, 1))
    first = send(1, small, **{"Content-Encoding": "zstd"})
    for request_id in (first, late):
        found = by_hand(url, "retrieve_future", {"request_id": request_id})
        told = pb.ForwardBackwardOutput.FromString(found.content)
        assert told.metrics["loss:sum"] > 0
    assert send(1, request_bytes(model.model_id, 1)) == first


def test_a_zstd_bomb_is_refused(url):
    import zstandard

    bomb = zstandard.ZstdCompressor().compress(bytes(80 * 2**20))
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "zstd"}
    found = httpx.post(
        f"{url}/api/v1/forward_backward", content=bomb, headers=headers | {"X-API-Key": KEY}
    )
    assert found.status_code == 422
    assert "larger than" in found.json()["detail"]


@pytest.mark.parametrize("body", [b"[]", b"3", b"\xff", b"[" * 5000, b'{"model_id": 1e999}', b"{"])
@pytest.mark.parametrize(
    "path", ["retrieve_future", "session_heartbeat", "weights_info", "optim_step", "asample"]
)
def test_a_body_that_is_no_object_is_refused_with_a_sentence(url, path, body):
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    found = httpx.post(f"{url}/api/v1/{path}", content=body, headers=headers)
    assert found.status_code in (410, 422)
    assert found.json()["detail"]


def test_turns_come_in_order_whatever_order_they_arrive_in():
    turns = Turns()
    assert turns.take(3, "c") == []
    assert turns.take(1, "a") == ["a"]
    assert turns.take(2, "b") == ["b", "c"]
    assert turns.take(None, "d") == ["d"]


def test_a_server_that_others_can_reach_needs_a_key(policy, monkeypatch, capsys):
    monkeypatch.delenv("KOS_TINKER_KEY", raising=False)
    monkeypatch.setattr("sys.argv", ["server", "--base", str(policy), "--host", "0.0.0.0"])
    assert command.main() == 1
    assert "a key is needed" in capsys.readouterr().err


def test_dro_pulls_on_the_policy_s_own_tokens_alone(model):
    found = model.forward_backward([sent(advantage=0.0)], "dro", {"beta": 2.0}).result()
    logprobs = torch.tensor(found.loss_fn_outputs[0]["logprobs"].data[2:])
    assert found.metrics["loss:sum"] == pytest.approx(float(((logprobs + 6) ** 2).sum()), rel=1e-4)
