"""What a training would cost before it starts, beside the form and beside the real totals.

Prices are the reader's own: typed once, they stay in the session.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from django import forms

from apps.datasets.models import DatasetVersion
from apps.runs.figures import charts
from apps.runs.figures.numbers import Numbers, Step
from apps.runs.models import Run, Status
from kos.config import JobConfig, Pipeline, Train
from kos.rl.costs import MILLION, Prices, Tokens, estimate, short

SESSION = "prices"
# Letters a token in English; only the model's own tokenizer knows better.
LETTERS = 4
SAMPLED_PROMPTS = 200


class PricesForm(forms.Form):
    """Dollars for a million tokens of each kind; empty leaves money out."""

    prefill = forms.FloatField(required=False, min_value=0, label="Read")
    cached = forms.FloatField(required=False, min_value=0, label="Read again")
    sampled = forms.FloatField(required=False, min_value=0, label="Sampled")
    trained = forms.FloatField(required=False, min_value=0, label="Trained on")
    prefix = "price"

    @property
    def prices(self) -> Prices | None:
        """What was typed; None while nothing was."""
        if not self.is_valid() or all(value is None for value in self.cleaned_data.values()):
            return None
        known = {name: self.cleaned_data[name] or 0.0 for name in self.fields}
        return Prices(**known, source="the prices typed here")


class Estimate(NamedTuple):
    """Sentences about the cost, and the most it can be where they speak of what is usual."""

    sentences: list[str]
    at_most: str


def prices_form(
    session: MutableMapping[str, Any], data: Mapping[str, Any] | None = None
) -> PricesForm:
    """The prices as typed now, or as they were typed last; remembered."""
    form = PricesForm(data if data is not None else session.get(SESSION) or {})
    if data is not None and form.is_valid():
        typed = {
            form.add_prefix(name): data.get(form.add_prefix(name), "") for name in form.fields
        }
        session[SESSION] = typed
    return form


def training_of(config: JobConfig | None) -> Train | None:
    """The training that a job is or has in it."""
    if isinstance(config, Pipeline):
        return config.train
    return config if isinstance(config, Train) else None


def estimated(config: Train, dataset: DatasetVersion | None, prices: Prices | None) -> Estimate:
    """What ``config`` would cost on ``dataset``, with the lengths of the last training on it."""
    prompts, usual = prompt_tokens(config, dataset), usual_length(dataset)
    most = estimate(config, prompts=prompts, prices=prices)
    if usual is None:
        return Estimate(_said(most.describe(), prompts, ""), "")
    run, length = usual
    known = estimate(config, prompts=prompts, answer_tokens=length, prices=prices)
    money = f", ${most.dollars:,.2f}" if most.dollars is not None else ""
    return Estimate(
        _said(known.describe(), prompts, f" Answers are as long as in the last steps of {run}."),
        f"At most {short(most.tokens.sampled)} tokens sampled{money}, if every answer is as long "
        "as it may be.",
    )


def _said(sentences: list[str], prompts: float, more: str) -> list[str]:
    about = f"Prompts are taken to have {prompts:,.0f} tokens, by their letters."
    return [*sentences, about + more]


def prompt_tokens(config: Train, dataset: DatasetVersion | None) -> float:
    """The mean length of a prompt with the system prompt, guessed from its letters."""
    if dataset is None:
        return len(config.system_prompt) / LETTERS
    tasks = dataset.examples.filter(split="train").values_list("task__messages", flat=True)
    letters = [
        sum(len(message.get("content", "")) for message in messages or ())
        for messages in tasks[:SAMPLED_PROMPTS]
    ]
    return (len(config.system_prompt) + (fmean(letters) if letters else 0)) / LETTERS


def usual_length(dataset: DatasetVersion | None) -> tuple[Run, float] | None:
    """The newest finished training on ``dataset``, and how long its last answers were."""
    if dataset is None:
        return None
    run = Run.objects.filter(kind="train", status=Status.DONE, dataset=dataset).first()
    length = Numbers(charts.steps(run)).recent("length/response") if run else None
    return (run, length) if run and length else None


def spent_dollars(steps: Sequence[Step], prices: Prices | None) -> float | None:
    """What the tokens of these steps cost at ``prices``; None where none are known."""
    if prices is None or not any("tokens/sampled" in step.metrics for step in steps):
        return None
    tokens = Tokens(
        *(
            sum(step.metrics.get(f"tokens/{kind}") or 0.0 for step in steps)
            for kind in Tokens._fields
        )
    )
    paid = (
        tokens.prefill * prices.prefill
        + tokens.cached * prices.cached
        + tokens.sampled * prices.sampled
        + tokens.trained * prices.trained
    )
    return paid / MILLION
