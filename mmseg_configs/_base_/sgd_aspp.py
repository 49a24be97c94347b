"""The rates of sgd.py for the branches of DeepLab-ASPP."""

_base_ = ["sgd.py"]

optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            f"decode_head.branches.{branch}.{layer}bias": dict(lr_mult=20.0, decay_mult=0.0)
            for branch in range(4)
            for layer in ("", "fc6.", "fc7.", "conv_seg.")
        },
    ),
)
