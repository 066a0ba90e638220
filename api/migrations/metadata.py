"""The tables of every package (interim, replaced at integration)."""

import importlib
import contextlib

ALL = []
for name in ("keys.models", "identity.models", "seal.models", "certs.models"):
    with contextlib.suppress(ModuleNotFoundError):
        ALL.append(importlib.import_module(name).Base.metadata)
for name in ("keys.evidence.models", "identity.oidc_models"):
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module(name)
