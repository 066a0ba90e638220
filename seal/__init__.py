"""With what authority: electronic seals, the rules that let them be used, stamping and verdicts."""
