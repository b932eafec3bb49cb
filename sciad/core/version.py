"""The version of sciad, which is part of what machine code on disk is known by."""

VERSION = "0.1.0"
