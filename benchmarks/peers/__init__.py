"""Programs that are measured beside ours, installed when they are asked for and never part of the product."""
