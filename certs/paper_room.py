"""The room in which papers are looked at: PDFium and the code reader meet nothing but the one file."""

from certs.paper import read_paper
from seal.sandbox_room import serve

if __name__ == "__main__":
    serve(read_paper)
