from tests.furnished import furnished

__all__ = ["furnished"]
