"""The code of the course *Generative AI, Measured*. Import what you need; nothing heavy is imported here."""

__version__ = "0.1.0"
