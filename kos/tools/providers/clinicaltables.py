"""NLM Clinical Tables: codes without a key. An answer is ``[total, codes, extra, rows]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kos.tools.base import Record
from kos.tools.desk import Desk
from kos.tools.net.failures import UnavailableError
from kos.tools.net.wire import Request
from kos.tools.providers.base import NLM_ATTRIBUTION, LiveSource, plain
from kos.tools.registry import provide

URL = "https://clinicaltables.nlm.nih.gov/api"
MAX_LIST = 8


class Table(NamedTuple):
    """One of its tables, and the fields searched and shown."""

    path: str
    fields: str
    title: str


TABLES: Mapping[str, Table] = {
    "icd10": Table("icd10cm", "code,name", "ICD-10-CM"),
    "icd11": Table("icd11_codes", "code,title", "ICD-11 MMS"),
}


@provide
class ClinicalTables(LiveSource):
    """NLM Clinical Tables."""

    tool = "search_icd"
    name = "clinicaltables"
    title = "NLM Clinical Tables"
    version = "v3"
    licence = "ICD-10-CM: public domain; ICD-11: CC BY-ND 3.0 IGO (WHO)"
    attribution = NLM_ATTRIBUTION

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The codes whose code or name matches."""
        table = TABLES[arguments.get("version", "icd11")]
        asked: dict[str, str | int] = {"terms": arguments["query"], "maxList": MAX_LIST}
        asked |= {"sf": table.fields, "df": table.fields}
        reply = await desk.wire.send(Request(f"{URL}/{table.path}/v3/search", params=asked))
        return tuple(self._record(row, table) for row in _rows(reply.json()))

    def _record(self, row: tuple[str, str], table: Table) -> Record:
        code, name = row
        url = f"{URL}/{table.path}/v3/search?terms={code}"
        return Record(
            title=f"{code} {name}",
            url=url,
            text=f"{table.title} code {code}: {name}",
            provenance=self.provenance(url, data_version=table.title),
        )


def _rows(found: Any) -> list[tuple[str, str]]:
    if not isinstance(found, list) or len(found) < 4:
        raise UnavailableError("its answer has another form than expected")
    return [(str(row[0]), plain(str(row[1]))) for row in found[3] if len(row) >= 2]
