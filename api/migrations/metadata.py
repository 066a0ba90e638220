"""The tables of every package, for Alembic only."""

import certs.models
import identity.models
import identity.oidc_models
import keys.evidence.models
import keys.models
import keys.pki.status_models
import keys.time.models
import seal.models

ALL = (keys.models.Base.metadata, identity.models.Base.metadata, seal.models.Base.metadata, certs.models.Base.metadata)
MORE_TABLES = (keys.evidence.models, keys.pki.status_models, keys.time.models, identity.oidc_models)
"""Modules that add tables to a base of their package."""
