"""``starcross inspect`` of alerts and notices together: why which of them match, and why others do not."""

from collections.abc import Sequence

from bridges.files import FoundFile
from bridges.linked_maps import find_linked_maps
from broker.config import Config
from broker.inspection import MIB, Findings
from broker.interfaces import Matcher
from matchers.cases import Cases
from matchers.explain import Explanation, explain
from schemas.errors import BadSkyMap
from schemas.records import Trigger
from schemas.skymap import read_skymap
from schemas.survey import SURVEYS

MOST_PAIRS = 10_000
"""Beyond so many pairs of an alert and a trigger nobody reads explanations; `starcross replay` is for that."""


def explain_findings(
    findings: Sequence[Findings], files: Sequence[FoundFile], config: Config, matchers: Sequence[Matcher]
) -> list[Explanation] | None:
    """Every alert against every trigger that was found, the best first; None if there are too many pairs.

    Notices are folded into triggers, and a map that one links to is taken where it is among the files, as replay does.
    """
    alerts = [part for found in findings for part in found.alerts]
    triggers = _triggers(findings, files, config)
    if sum(map(len, alerts)) * len(triggers) > MOST_PAIRS:
        return None
    explained = explain(
        triggers,
        alerts,
        matchers,
        {survey.name: config.cuts_of(survey.name) for survey in SURVEYS},
        {survey.name: survey.quality_columns for survey in SURVEYS},
        include_tests=config.triggers.include_tests,
    )
    return sorted(explained, key=lambda one: (len(one.against), one.credible_level or 0.0, abs(one.delta_t_s)))


def _triggers(findings: Sequence[Findings], files: Sequence[FoundFile], config: Config) -> list[Trigger]:
    told = [pair for found in findings for pair in found.notices]
    origins = [origin for found in findings for origin in found.map_origins]
    linked = find_linked_maps([notice for notice, _ in told], files, origins, bytes_max=config.replay.message_mib * MIB)
    cases = Cases()
    for notice, skymap in told:
        heard = cases.hear(notice, skymap, 0)
        if heard is not None and notice.ivorn in linked:
            try:
                cases.hear_skymap(heard.trigger_id, notice.ivorn, read_skymap(linked[notice.ivorn].body), 0)
            except BadSkyMap:
                continue  # told where the file itself was inspected
    return [case.trigger for _, case in cases.items() if case.trigger is not None]
