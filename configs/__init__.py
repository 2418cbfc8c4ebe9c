"""The shipped ways to run: `--config quick` finds quick.yaml here."""
