"""The room for our own certificates, seals and pictures; it answers null for PDFs of other profiles."""

from seal.sandbox_room import serve
from seal.verification_core import judge

if __name__ == "__main__":
    serve(judge)
