"""The rates of sgd_classifiers.py, and batch norms that learn nothing, as in DeepLab v2."""

_base_ = ["sgd_classifiers.py"]

optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            norm: dict(lr_mult=0.0, decay_mult=0.0)
            for norm in (".bn1", ".bn2", ".bn3", ".downsample.1")
        },
    ),
)
