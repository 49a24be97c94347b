"""The rates of sgd.py for heads that are nothing but classifiers: x1, x2, x10 and x20."""

_base_ = ["sgd.py"]

optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            f"decode_head.{layers}.{place}.bias": dict(lr_mult=20.0, decay_mult=0.0)
            for layers in ("classifiers", "branches")
            for place in range(4)
        },
    ),
)
