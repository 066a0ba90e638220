"""What the journeys of documents are given, put together once for each house."""

from weakref import WeakKeyDictionary

from api.wiring import House
from certs.archiving import DOCUMENTS
from keys.base.db import Database
from seal.document_levels import Levels
from seal.document_values import Sealing, UploadLimits
from seal.rebuilding import Limits, Rebuilder

_made: "WeakKeyDictionary[Database, Sealing]" = WeakKeyDictionary()


def sealing_of(house: House) -> Sealing:
    """The journeys' values; the rooms in which uploads are rebuilt are started on first use."""
    found = _made.get(house.database)
    if found is None:
        settings = house.settings
        limits = Limits(octets=settings.document_megabytes << 20, pages=settings.document_pages, seconds=settings.document_seconds)
        found = _made[house.database] = Sealing(
            database=house.database,
            keystore=house.keystore,
            clock=house.clock,
            gate=house.issuing.gate,
            workers=house.workers,
            blobs=house.blobs,
            rebuilder=Rebuilder(limits),
            uploads=UploadLimits(
                settings.upload_person_megabytes << 20, settings.upload_organisation_megabytes << 20, settings.upload_days
            ),
            levels=Levels(house.upgrading.obtaining, house.issuing.archived.covers(DOCUMENTS), settings.renewal),
        )
    return found
