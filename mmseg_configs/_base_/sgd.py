"""SGD of the published Caffe networks: biases learn twice as fast and do not decay.

The head's layers are new and learn ten times as fast as the loaded backbone.
"""

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=1e-3, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(
        bias_lr_mult=2.0,
        bias_decay_mult=0.0,
        custom_keys={
            # The longest key that is part of a parameter's name decides.
            "decode_head": dict(lr_mult=10.0),
            "decode_head.fc6.bias": dict(lr_mult=20.0, decay_mult=0.0),
            "decode_head.fc7.bias": dict(lr_mult=20.0, decay_mult=0.0),
            "decode_head.conv_seg.bias": dict(lr_mult=20.0, decay_mult=0.0),
        },
    ),
)
