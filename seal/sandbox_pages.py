"""The room in which pages are drawn and compared: PDFium meets nothing but the one file."""

from seal.changed_pages import compare
from seal.sandbox_room import serve

if __name__ == "__main__":
    serve(compare)
