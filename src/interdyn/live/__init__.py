"""A page on this computer that follows runs while they are written."""

from interdyn.live._app import application, serve

__all__ = ["application", "serve"]
