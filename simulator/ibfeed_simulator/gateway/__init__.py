"""A stand-in for IB's Client Portal Gateway, with the quirks that were measured on the real one.

It imports nothing else of this project, because a distribution carries only this folder.
"""
