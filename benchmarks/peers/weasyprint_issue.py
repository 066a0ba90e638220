"""WeasyPrint, qrcode and pyHanko as one peer: what many issue certificates with. A program of its own (see ``benchmarks.peers.program``).

A page with a frame, a title, a grid of fields and two QR codes as PDF/A-3b with its metadata attached, signed plainly, written to a file.
Argument: JSON with ``p12``, ``font``, ``folder``, ``count`` and the texts of the certificate. WeasyPrint has to be on the path.
"""

import html
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qrcode
from qrcode.image.svg import SvgPathImage
from weasyprint import HTML, Attachment  # type: ignore[import-not-found]  # no dependency of ours

from benchmarks.peers.pyhanko import signing

_STYLE = """
@font-face { font-family: Serif; src: url("file://%s") }
@page { size: A4; margin: 15mm; border: 2pt solid #8c2f22 }
body { font: 14pt/1.8 Serif; padding: 10mm }
h1 { text-align: center; font-size: 32pt } th { text-align: left; width: 9em; font-weight: normal; color: #555 }
"""


def code(text: str, millimetres: int) -> str:
    """A QR code as SVG inside the page."""
    drawn: str = qrcode.make(text, image_factory=SvgPathImage).to_string(encoding="unicode")
    return f'<div style="width:{millimetres}mm">{drawn}</div>'


def page(given: dict[str, Any], number: int) -> str:
    """The certificate as HTML; ``number`` keeps it from being the last one again."""
    rows = "".join(f"<tr><th>{html.escape(label)}</th><td>{html.escape(value)} {number}</td></tr>" for label, value in given["fields"])
    codes = code(f"{given['verify_url']}{number}", 20) + code(f"{given['offline']}{number}", 35)
    style = _STYLE % given["font"]
    return f"<style>{style}</style><h1>{html.escape(given['title'])}</h1><table>{rows}</table><p>{html.escape(given['issuer'])}</p>{codes}"


def issuing(given: dict[str, Any]) -> Callable[[int], None]:
    """One certificate, from its texts to its file."""
    sign = signing(Path(given["p12"]))

    def issue(number: int) -> None:
        metadata = Attachment(string=given["metadata"], name="metadata.json", relationship="Data")
        pdf = HTML(string=page(given, number)).write_pdf(pdf_variant="pdf/a-3b", attachments=[metadata])
        with (Path(given["folder"]) / f"{number}.pdf").open("wb") as file:
            file.write(sign(pdf))
            os.fsync(file.fileno())

    return issue


def main() -> None:
    given = json.loads(sys.argv[1])
    issue, number = issuing(given), 0
    issue(number)
    for _ in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(given["count"]):
            number += 1
            issue(number)
        spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        print(json.dumps({name: seconds * 1000 / given["count"] for name, seconds in spent.items()}), flush=True)


if __name__ == "__main__":
    main()
