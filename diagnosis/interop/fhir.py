"""What a FHIR server answers around its resources: search bundles and its capabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fhir.resources.R4B.bundle import Bundle as FhirBundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement as FhirCapabilityStatement
from fhir.resources.R4B.resource import Resource

from diagnosis.interop.fhir_base import (
    FHIR_PATH,
    TERMINOLOGY,
    FhirContext,
    Json,
    coding,
    compact,
    concept,
    instant,
)

FHIR_VERSION = "4.0.1"
SMART_ADDRESSES = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"


@dataclass(frozen=True, slots=True)
class ServedResource:
    """One type that the server answers for; ``search`` gives the type of each parameter."""

    kind: str
    search: Mapping[str, str]
    documentation: Mapping[str, str] = field(default_factory=dict)
    interactions: Sequence[str] = ("read", "search-type")
    includes: Sequence[str] = ()
    operations: Sequence[str] = ()


def fhir_search_bundle(
    context: FhirContext,
    matches: Sequence[Resource],
    *,
    total: int | None,
    at: datetime,
    links: Mapping[str, str],
    included: Sequence[Resource] = (),
) -> FhirBundle:
    """Return one page of a search.

    Args:
        context: For whom.
        matches: The resources found, in order.
        total: How many there are on all pages; ``None`` when nobody counted.
        at: When the search was answered.
        links: Addresses by relation: ``self``, and ``next`` or ``previous`` where there is one.
        included: Resources that were asked for along with the matches.

    Raises:
        ValueError: a resource has no id.
    """
    entries = [_entry(context, resource, "match") for resource in matches]
    entries += [_entry(context, resource, "include") for resource in included]
    # The resources are passed as they are: ``compact`` would look for empty parts in vain.
    head = compact(
        {
            "timestamp": instant(at),
            "link": [{"relation": relation, "url": url} for relation, url in links.items()],
        }
    )
    body: Json = {"type": "searchset", **head}
    if total is not None:
        body["total"] = total
    if entries:
        body["entry"] = entries
    return FhirBundle.model_validate(body)


def fhir_collection(
    context: FhirContext, resources: Sequence[Resource], *, at: datetime
) -> FhirBundle:
    """Return resources that belong together, for somebody who takes them elsewhere."""
    entries = [_entry(context, resource, "") for resource in resources]
    body: Json = {"type": "collection", **compact({"timestamp": instant(at)}), "entry": entries}
    return FhirBundle.model_validate(body)


def fhir_capability_statement(
    *, base_url: str, software_version: str, at: datetime, resources: Sequence[ServedResource]
) -> FhirCapabilityStatement:
    """Return what this server can do; it says nothing of any clinic."""
    site = base_url.rstrip("/")
    security = concept(
        coding(TERMINOLOGY + "restful-security-service", "SMART-on-FHIR", "SMART-on-FHIR"),
        coding(TERMINOLOGY + "restful-security-service", "OAuth", "OAuth"),
        text="A bearer token of one member in one clinic, made by the member or by SMART",
    )
    places = [
        {"url": name, "valueUri": f"{site}/oauth/{name}"}
        for name in ("authorize", "token", "introspect", "revoke")
    ]
    addresses = {"url": SMART_ADDRESSES, "extension": places}
    return FhirCapabilityStatement.model_validate(
        compact(
            {
                "id": "fracture-site",
                "url": f"{site}{FHIR_PATH}/metadata",
                "name": "FractureSite",
                "title": "Fracture Site",
                "status": "active",
                "date": instant(at),
                "kind": "instance",
                "software": {"name": "Fracture Site", "version": software_version},
                "implementation": {
                    "description": "Fracture Site: findings and reports of limb radiographs",
                    "url": f"{site}{FHIR_PATH}",
                },
                "fhirVersion": FHIR_VERSION,
                "format": ["json"],
                "rest": [
                    {
                        "mode": "server",
                        "security": {"service": [security], "extension": [addresses]},
                        "resource": [_served(resource, site) for resource in resources],
                    }
                ],
            }
        )
    )


def _entry(context: FhirContext, resource: Resource, mode: str) -> Json:
    if not resource.id:
        raise ValueError("a resource without id")
    kind = resource.get_resource_type()
    entry: Json = {"fullUrl": f"{context.fhir_url}/{kind}/{resource.id}", "resource": resource}
    return entry | ({"search": {"mode": mode}} if mode else {})


def _served(resource: ServedResource, site: str) -> Json:
    return {
        "type": resource.kind,
        "operation": [
            {
                "name": name,
                "definition": f"{site}/fhir/OperationDefinition/{resource.kind}-{name}",
            }
            for name in resource.operations
        ],
        "interaction": [{"code": code} for code in resource.interactions],
        "versioning": "no-version",
        "conditionalRead": "full-support",
        "searchInclude": list(resource.includes),
        "searchParam": [
            {
                "name": name,
                "type": kind,
                "documentation": resource.documentation.get(name),
            }
            for name, kind in sorted(resource.search.items())
            if "." not in name  # chains follow from the parameters
        ],
    }
