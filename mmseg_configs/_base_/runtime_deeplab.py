"""The runtime of networks from ``benchmark.deeplab``."""

_base_ = ["runtime.py"]

custom_imports = dict(imports=["benchmark.deeplab"])
