"""Versions of things: what is new has version 0, and a change must name the present one (developer.intuit.com, "SyncToken": error 5010)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from billhook_quickbooks.simulator.wire import Entity, Refused


def made(id: str, body: Entity, now: datetime) -> Entity:
    """A new thing."""
    if "Id" in body:
        raise Refused("2030", "Invalid ID", "A thing that is created has no Id yet", "Id")
    stamp = _stamp(now)
    own = {"Id": id, "SyncToken": "0", "domain": "QBO", "sparse": False}
    return {**body, **own, "MetaData": {"CreateTime": stamp, "LastUpdatedTime": stamp}}


def checked(old: Entity | None, body: Entity) -> Entity:
    """The thing that a change means, at the version that it names."""
    if old is None:
        raise not_found(body.get("Id"))
    if "SyncToken" not in body:
        raise Refused("2020", "Required param missing, need to supply the required value for the API", "SyncToken")
    if str(body["SyncToken"]) != old["SyncToken"]:
        detail = (
            f"Stale Object Error : You and root were working on this at the same time (it is at {old['SyncToken']})."
        )
        raise Refused("5010", "Stale Object Error", detail)
    return old


def changed(old: Entity | None, body: Entity, now: datetime, kept: Sequence[str] = ()) -> Entity:
    """The next version. A full change clears what it leaves out, but for what can't be written; a sparse one keeps it."""
    standing = checked(old, body)
    base = standing if body.get("sparse") is True else {name: standing[name] for name in kept if name in standing}
    return touched({**base, **body}, standing, now)


def touched(entity: Entity, old: Entity, now: datetime) -> Entity:
    """The thing with its next version and the time of the change."""
    version = str(int(old["SyncToken"]) + 1)
    dates = {"CreateTime": old["MetaData"]["CreateTime"], "LastUpdatedTime": _stamp(now)}
    return {**entity, "Id": old["Id"], "SyncToken": version, "domain": "QBO", "sparse": False, "MetaData": dates}


def not_found(id: object) -> Refused:
    """There is no such thing."""
    detail = f"Object Not Found : Something you're trying to use has been made inactive or deleted ({id})."
    return Refused("610", "Object Not Found", detail)


def _stamp(now: datetime) -> str:
    return now.isoformat(timespec="seconds")
