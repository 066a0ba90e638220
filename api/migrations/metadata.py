"""The tables of every package, for Alembic only."""

import certs.bulk_models
import certs.catalogue_models
import certs.code_models
import certs.copy_models
import certs.event_models
import certs.federation_models
import certs.glyph_models
import certs.ingestion_models
import certs.issuing_models
import certs.library_models
import certs.life_models
import certs.models
import certs.photograph_models
import certs.sharing_models
import identity.models
import identity.oidc_models
import keys.ceremony.models
import keys.evidence.models
import keys.installation_models
import keys.models
import keys.pki.status_models
import keys.time.models
import keys.trust.models
import seal.authority_models
import seal.departure_models
import seal.document_models
import seal.foreign_rules_models
import seal.impression_models
import seal.life_models
import seal.models
import seal.upgrade_models

ALL = (keys.models.Base.metadata, identity.models.Base.metadata, seal.models.Base.metadata, certs.models.Base.metadata)
MORE_TABLES = (
    certs.bulk_models,
    certs.catalogue_models,
    keys.ceremony.models,
    keys.evidence.models,
    keys.pki.status_models,
    keys.time.models,
    keys.trust.models,
    keys.installation_models,
    identity.oidc_models,
    seal.foreign_rules_models,
    seal.life_models,
    seal.authority_models,
    seal.departure_models,
    seal.document_models,
    seal.impression_models,
    seal.upgrade_models,
    certs.code_models,
    certs.copy_models,
    certs.event_models,
    certs.federation_models,
    certs.glyph_models,
    certs.ingestion_models,
    certs.issuing_models,
    certs.library_models,
    certs.sharing_models,
    certs.life_models,
    certs.photograph_models,
)
"""Modules that add tables to a base of their package."""
