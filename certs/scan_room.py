"""The room in which scans are drawn: PDFium and Pillow meet nothing but the one file."""

from certs.scan_pages import draw_scan
from seal.sandbox_room import serve

if __name__ == "__main__":
    serve(draw_scan)
