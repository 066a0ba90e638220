"""The room for PDFs of other profiles: pyHanko takes longer to load, and is loaded only for them."""

from seal.sandbox_room import serve
from seal.verification_foreign import judge_foreign

if __name__ == "__main__":
    serve(judge_foreign)
