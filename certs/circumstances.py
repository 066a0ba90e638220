"""What an approval is admitted by that is the same for every approval of its kind: type, issuer, matter, seal, rule, the seal's policy."""

from dataclasses import dataclass

from certs.catalogue import CertificateType
from certs.issuing_rules import IssuingRule
from identity.organisations import Organisation
from seal.policy import RuleAnswer
from seal.reads import Seal


@dataclass(frozen=True, slots=True)
class Circumstances:
    """``answers``: what each rule of the policy says of such a use of the seal."""

    kind: CertificateType
    issuer: Organisation
    seal: Seal
    rule: IssuingRule
    answers: tuple[RuleAnswer, ...]
