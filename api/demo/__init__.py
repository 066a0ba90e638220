"""The demonstration city (division 990100, which nobody has): its people, seals and clients, and the story they play."""
