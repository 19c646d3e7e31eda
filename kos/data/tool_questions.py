"""Questions that call for one tool each, made from templates: what a small model learns tools on.

The templates share no sentence with ``sample/tool_questions.jsonl``, whose questions were
written by hand and only ever test.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

DRUGS = """
metformin; lisinopril; apixaban; warfarin; amoxicillin; sertraline; ibuprofen; levothyroxine;
atorvastatin; omeprazole; prednisone; albuterol; gabapentin; tramadol; fluoxetine; insulin glargine;
methotrexate; lithium; digoxin; amiodarone; clopidogrel; ciprofloxacin; doxycycline; furosemide;
spironolactone; losartan; amlodipine; carvedilol; empagliflozin; semaglutide; rivaroxaban; quetiapine;
lamotrigine; valproate; phenytoin; nitrofurantoin; azithromycin; tamoxifen; allopurinol; colchicine
"""
CONDITIONS = """
gout; type 2 diabetes; asthma; atrial fibrillation; heart failure; migraine; psoriasis; osteoarthritis;
chronic kidney disease; iron deficiency anaemia; hypothyroidism; hypertension; pneumonia; cellulitis;
ulcerative colitis; Crohn disease; rheumatoid arthritis; epilepsy; Parkinson disease; multiple sclerosis;
major depression; bipolar disorder; schizophrenia; COPD; sleep apnoea; endometriosis; preeclampsia;
osteoporosis; gallstones; acute pancreatitis; diverticulitis; appendicitis; kidney stones; urinary
tract infection; deep vein thrombosis; pulmonary embolism; stroke; melanoma; breast cancer; lupus
"""
SYMPTOMS = """
chest pain; severe headache; fever in a baby; a sprained ankle; vomiting for two days; back pain;
a head injury; shortness of breath; a swollen leg; palpitations; dizziness; blood in the urine;
a stiff neck with fever; a rash after a new medicine; stomach pain; a nosebleed; a burn on the hand;
fainting; a sore throat; ear pain; a dog bite; diarrhoea on a trip; numbness on one side; a cough for
three weeks; a painful red eye; heavy periods; a child who swallowed a coin; low mood; jaundice; hives
"""
TREATMENTS = """
semaglutide; CAR-T cells; gene therapy; ketamine; psilocybin; a monoclonal antibody; stem cells;
immunotherapy; an mRNA vaccine; low-dose colchicine; SGLT2 inhibitors; deep brain stimulation
"""
NEWS = """
the measles outbreak; the newest flu vaccine; a recall of eye drops; drug shortages; dengue in Europe;
the price of insulin; a new guideline on blood pressure; air pollution alerts; the mpox situation;
hospital waiting times; the opening hours of a poison centre; an abbreviation TKO in nursing notes;
a health app review; the WHO's list of essential medicines; travel vaccines for Kenya; avian flu cases
"""
SITES = """
www.nhs.uk/conditions/gout; medlineplus.gov/asthma.html; www.cdc.gov/flu/about; www.who.int/news/item/7;
www.nice.org.uk/guidance/ng28; www.fda.gov/drugs/safety/recall-12; www.ema.europa.eu/en/news/update;
www.mayoclinic.org/migraine; kidney.org/stages; www.heart.org/afib; www.cancer.gov/types/breast;
www.hse.ie/conditions/croup; www.bmj.com/content/380/bmj.p1; www.aafp.org/afp/2024/otitis.html
"""
SECTIONS = {
    "contraindications": "contraindications",
    "boxed_warning": "boxed warning",
    "interactions": "interactions",
    "dosage": "usual dose",
    "adverse_reactions": "side effects",
    "pregnancy": "use in pregnancy",
    "renal": "dose in kidney disease",
}
# By tool: what is asked, with {topic} and, for some, {other}.
TEMPLATES: Mapping[str, Sequence[str]] = {
    "search_drug_label": (
        "What are the {other} of {topic}?",
        "Tell me the {other} for {topic} from its label.",
        "{topic}: {other}?",
        "What does the label of {topic} say about {other}?",
        "I need the {other} of {topic} before I prescribe it.",
        "Patient on {topic}. What about {other}?",
        "Please look up {other} of {topic}.",
    ),
    "search_icd": (
        "What is the ICD-10 code for {topic}?",
        "ICD-10 code {topic}",
        "Which ICD-10-CM code do I use for {topic}?",
        "I have to code {topic} for the discharge letter. Which code?",
        "How is {topic} coded in ICD-10?",
        "Give me the diagnosis code of {topic}.",
    ),
    "search_pubmed": (
        "What is the evidence for {other} in {topic}?",
        "Find studies of {other} for {topic}.",
        "Are there randomised trials published on {other} in {topic}?",
        "Show me recent papers on {topic} and {other}.",
        "Is there a meta-analysis of {other} in {topic}?",
        "Literature on {other} for {topic}, please.",
        "What has been published about {topic} lately?",
    ),
    "search_clinical_trials": (
        "Which trials are recruiting for {topic}?",
        "Is there a clinical trial my patient with {topic} could join?",
        "Are there open trials of {other} in {topic}?",
        "My sister has {topic} and wants to enrol in a study. What is running?",
        "Find ongoing trials for {topic}.",
        "Any experimental treatment trial for {topic} that is enrolling now?",
    ),
    "search_triage_guideline": (
        "I have {topic}. Should I go to the emergency room?",
        "My mother has {topic}. What should we do?",
        "When is {topic} an emergency?",
        "What are the warning signs with {topic}?",
        "Is {topic} dangerous? Do I need a doctor today?",
        "Home care or hospital for {topic}?",
        "My patient phones with {topic}. What do I ask and when do I send them in?",
    ),
    "web_search": (
        "What is the latest news on {topic}?",
        "Search the web for {topic}.",
        "Can you find current information about {topic}?",
        "What do websites say about {topic} this week?",
        "Look online: {topic}.",
        "I heard about {topic}. What is going on?",
    ),
    "read_url": (
        "Read https://{topic} and tell me the main points.",
        "What does https://{topic} say?",
        "Please summarise this page: https://{topic}",
        "Open https://{topic}. What does it advise?",
        "https://{topic} - what is in there about children?",
        "Check https://{topic} for me.",
    ),
}


@dataclass(frozen=True)
class ToolQuestion:
    """A question, the tool it calls for, and the arguments that a good call has."""

    id: str
    question: str
    tool: str
    arguments: Mapping[str, Any]


def made(num_questions: int, seed: int) -> list[ToolQuestion]:
    """``num_questions`` different questions, the tools in turn; equal seeds give equal lists."""
    draw = random.Random(seed)  # noqa: S311 (no secret)
    found: dict[str, ToolQuestion] = {}
    tools = list(TEMPLATES)
    place = 0
    while len(found) < num_questions:
        one = _make(tools[place % len(tools)], len(found), draw)
        found.setdefault(one.question, one)
        place += 1
    return list(found.values())


def unseen() -> list[ToolQuestion]:
    """The 50 questions written by hand, for testing only."""
    return list(_read_unseen())


def _read_unseen() -> Iterator[ToolQuestion]:
    file = resources.files("kos.data") / "sample" / "tool_questions.jsonl"
    for line in file.read_text(encoding="utf-8").splitlines():
        yield ToolQuestion(**json.loads(line))


def _make(tool: str, number: int, draw: random.Random) -> ToolQuestion:
    topic, other, arguments = _subject(tool, draw)
    text = draw.choice(TEMPLATES[tool]).format(topic=topic, other=other)
    if "{other}" in text or (tool == "search_pubmed" and other not in text):
        arguments = {"query": topic}
    if tool == "search_clinical_trials" and other not in text:
        arguments = {"condition": topic, "status": "recruiting"}
    return ToolQuestion(f"made-{number:04d}", _varied(text, draw), tool, arguments)


def _subject(tool: str, draw: random.Random) -> tuple[str, str, dict[str, Any]]:
    """What a question is about, what else it names, and the call's arguments."""
    match tool:
        case "search_drug_label":
            drug = _pick(DRUGS, draw)
            section = draw.choice(list(SECTIONS))
            return drug, SECTIONS[section], {"drug": drug, "sections": [section]}
        case "search_icd":
            condition = _pick(CONDITIONS, draw)
            return condition, "", {"query": condition, "version": "icd10"}
        case "search_pubmed":
            condition, treatment = _pick(CONDITIONS, draw), _pick(DRUGS + ";" + TREATMENTS, draw)
            return condition, treatment, {"query": f"{condition} {treatment}"}
        case "search_clinical_trials":
            condition, treatment = _pick(CONDITIONS, draw), _pick(TREATMENTS, draw)
            arguments = {"condition": condition, "intervention": treatment, "status": "recruiting"}
            return condition, treatment, arguments
        case "search_triage_guideline":
            symptom = _pick(SYMPTOMS, draw)
            return symptom, "", {"query": symptom.removeprefix("a ").removeprefix("an ")}
        case "web_search":
            topic = _pick(NEWS, draw)
            return topic, "", {"query": topic}
        case _:
            site = _pick(SITES, draw)
            return site, "", {"url": f"https://{site}"}


def _pick(names: str, draw: random.Random) -> str:
    return draw.choice([" ".join(name.split()) for name in names.split(";")])


def _varied(text: str, draw: random.Random) -> str:
    """People do not all type alike: some greet, some use no capitals."""
    roll = draw.random()
    if roll < 0.1:
        return "Hello. " + text
    if roll < 0.2 and "https" not in text:
        return text[0].lower() + text[1:].rstrip("?.")
    return text
