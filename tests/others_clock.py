"""Other producers sign with the machine's clock, which no test can rely on: here with one that stands at the world's own instant."""

import datetime as dt
from typing import Any

from pyhanko.sign import signers
from pyhanko.sign.signers.pdf_signer import PdfSigningSession

from tests.stamped import NOW


class TimedSigner(signers.PdfSigner):
    """pyHanko's signer; every signature states the instant ``at``."""

    at: dt.datetime = NOW

    def init_signing_session(self, *arguments: Any, **options: Any) -> PdfSigningSession:
        session = super().init_signing_session(*arguments, **options)
        session.system_time = self.at
        return session
