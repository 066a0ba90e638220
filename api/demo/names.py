"""The demonstration's two portals by name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Portal:
    """A portal. ``client_id`` names its client and its cookie; ``home`` is where it stands on this site."""

    client_id: str
    home: str
    name_zh: str
    name_en: str

    def title(self, locale: str) -> str:
        return self.name_zh if locale.startswith("zh") else self.name_en


WATER = Portal("demo-water", "/demo/water", "示范市自来水公司", "Demonstration Water Company")
MARKET = Portal("demo-market", "/demo/market", "示范市市场服务平台", "Demonstration Market Services")
PORTALS = (WATER, MARKET)
