"""ClinicalTrials.gov, API v2. There is no filter for phases; errors come as plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kos.errors import UserError
from kos.tools.base import Provenance, Record
from kos.tools.desk import Desk
from kos.tools.net.cache import key_of, seconds_kept
from kos.tools.net.wire import Request
from kos.tools.providers.base import LiveSource, plain
from kos.tools.registry import provide

URL = "https://clinicaltrials.gov/api/v2"
STATUSES: Mapping[str, tuple[str, ...]] = {
    "any": (),
    "recruiting": ("RECRUITING", "ENROLLING_BY_INVITATION", "NOT_YET_RECRUITING"),
    "active": ("ACTIVE_NOT_RECRUITING",),
    "completed": ("COMPLETED", "TERMINATED"),
}
# A study with results is megabytes; these are the parts that are read.
FIELDS = (
    "NCTId,BriefTitle,OfficialTitle,OverallStatus,StartDate,PrimaryCompletionDate,CompletionDate,"
    "LastUpdatePostDate,LeadSponsorName,BriefSummary,Condition,StudyType,Phase,DesignAllocation,"
    "DesignMasking,EnrollmentCount,InterventionType,InterventionName,InterventionDescription,"
    "PrimaryOutcomeMeasure,PrimaryOutcomeTimeFrame,EligibilityCriteria,Sex,MinimumAge,MaximumAge,"
    "CentralContactName,CentralContactPhone,CentralContactEMail,LocationFacility,LocationCity,"
    "LocationState,LocationCountry,LocationStatus,HasResults"
)
MAX_SITES = 10
LICENCE = "public domain (U.S. government)"
ATTRIBUTION = "ClinicalTrials.gov, U.S. National Library of Medicine"


@provide
class ClinicalTrials(LiveSource):
    """ClinicalTrials.gov."""

    tool = "search_clinical_trials"
    name = "ctgov"
    title = "ClinicalTrials.gov"
    version = "v2"
    licence = LICENCE
    attribution = ATTRIBUTION

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The trials that were updated last."""
        reply = await desk.wire.send(Request(f"{URL}/studies", params=_params(arguments)))
        studies = reply.json().get("studies") or ()
        if not studies:
            return ()
        data_version = await self._data_version(desk)
        return tuple(
            record_of(study, self.provenance(link_of(study), data_version=data_version))
            for study in studies
        )

    async def _data_version(self, desk: Desk) -> str:
        """When the registry's data were last loaded; the answer stands without it."""
        key = key_of(self.tool, self.name, version=self.version, arguments={"path": "version"})
        kept = await desk.cache.get(key)
        if kept is not None:
            return str(kept["dataTimestamp"])
        try:
            told = (await desk.wire.send(Request(f"{URL}/version"))).json()
        except UserError:
            return ""
        stamp = str(told.get("dataTimestamp") or "")
        await desk.cache.put(key, {"dataTimestamp": stamp}, seconds_kept(self.tool))
        return stamp


def link_of(study: Mapping[str, Any]) -> str:
    """The study's page."""
    number = study["protocolSection"]["identificationModule"]["nctId"]
    return f"https://clinicaltrials.gov/study/{number}"


def record_of(study: Mapping[str, Any], provenance: Provenance) -> Record:
    """One study of the API's or of a bulk file's JSON."""
    protocol: Mapping[str, Any] = study["protocolSection"]
    identity = protocol["identificationModule"]
    sections = {name: text for name, text in _sections(protocol).items() if text}
    if study.get("hasResults"):
        sections["Results"] = "posted on the study's page"
    return Record(
        title=f"{identity['nctId']}: {plain(identity.get('briefTitle'))}",
        url=link_of(study),
        text="\n".join(f"{name}: {text}" for name, text in sections.items()),
        provenance=provenance,
        sections=sections,
    )


def _params(arguments: Mapping[str, Any]) -> dict[str, str | int]:
    statuses = STATUSES[arguments.get("status", "any")]
    asked = {
        "query.cond": arguments["condition"],
        "query.intr": arguments.get("intervention", ""),
        "filter.overallStatus": ",".join(statuses),
    }
    return {name: value for name, value in asked.items() if value} | {
        "fields": FIELDS,
        "sort": "LastUpdatePostDate:desc",
        "pageSize": arguments.get("max_results", 5),
        "countTotal": "true",
        "format": "json",
    }


def _sections(protocol: Mapping[str, Any]) -> dict[str, str]:
    status, design = protocol.get("statusModule", {}), protocol.get("designModule", {})
    eligibility = protocol.get("eligibilityModule", {})
    return {
        "Status": status.get("overallStatus", ""),
        "Phase": ", ".join(design.get("phases") or ()),
        "Design": _design(design),
        "Conditions": ", ".join(protocol.get("conditionsModule", {}).get("conditions") or ()),
        "Interventions": "; ".join(map(_intervention, _interventions(protocol))),
        "Summary": plain(protocol.get("descriptionModule", {}).get("briefSummary")),
        "Primary outcomes": "; ".join(map(_outcome, _outcomes(protocol))),
        "Eligibility": _eligibility(eligibility),
        "Dates": _dates(status),
        "Sponsor": _sponsor(protocol),
        "Contact": "; ".join(map(_contact, _contacts(protocol))),
        "Sites": _sites(protocol),
    }


def _design(design: Mapping[str, Any]) -> str:
    how = design.get("designInfo", {})
    count = design.get("enrollmentInfo", {}).get("count")
    parts = [design.get("studyType"), how.get("allocation")]
    parts += [how.get("maskingInfo", {}).get("masking"), f"{count} participants" if count else ""]
    return ", ".join(part for part in parts if part)


def _interventions(protocol: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return protocol.get("armsInterventionsModule", {}).get("interventions") or []


def _intervention(one: Mapping[str, Any]) -> str:
    what = f": {plain(one['description'])}" if one.get("description") else ""
    return f"{one.get('name', '')} ({one.get('type', '').lower()}){what}"


def _outcomes(protocol: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return protocol.get("outcomesModule", {}).get("primaryOutcomes") or []


def _outcome(one: Mapping[str, Any]) -> str:
    when = f" ({one['timeFrame']})" if one.get("timeFrame") else ""
    return f"{one.get('measure', '')}{when}"


def _eligibility(module: Mapping[str, Any]) -> str:
    ages = [module.get("minimumAge"), module.get("maximumAge")]
    who = ", ".join(part for part in [module.get("sex"), " to ".join(filter(None, ages))] if part)
    return "\n".join(part for part in [who, module.get("eligibilityCriteria")] if part)


def _dates(status: Mapping[str, Any]) -> str:
    names = {
        "started": "startDateStruct",
        "primary completion": "primaryCompletionDateStruct",
        "completion": "completionDateStruct",
        "last update": "lastUpdatePostDateStruct",
    }
    days = {name: status.get(part, {}).get("date") for name, part in names.items()}
    return ", ".join(f"{name} {day}" for name, day in days.items() if day)


def _sponsor(protocol: Mapping[str, Any]) -> str:
    lead = protocol.get("sponsorCollaboratorsModule", {}).get("leadSponsor", {})
    return str(lead.get("name") or "")


def _contacts(protocol: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return protocol.get("contactsLocationsModule", {}).get("centralContacts") or []


def _contact(one: Mapping[str, Any]) -> str:
    return ", ".join(one[part] for part in ("name", "phone", "email") if one.get(part))


def _sites(protocol: Mapping[str, Any]) -> str:
    sites = protocol.get("contactsLocationsModule", {}).get("locations") or []
    names = ("facility", "city", "state", "country", "status")
    told = [
        ", ".join(site[name] for name in names if site.get(name)) for site in sites[:MAX_SITES]
    ]
    more = [f"{len(sites) - MAX_SITES} more"] if len(sites) > MAX_SITES else []
    return "; ".join([*told, *more])
