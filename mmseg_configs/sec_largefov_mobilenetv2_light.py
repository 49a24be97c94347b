"""SEC's losses on an ImageNet MobileNetV2, for real images on a CPU or a small GPU.

The losses see 49x49 cells where SEC's see 41x41: the CRF's distances and the decays follow.
"""

_base_ = ["deeplab_largefov_mobilenetv2_light.py"]

model = dict(
    type="CueSegmentor",
    cues=dict(
        losses=("seed", "expand", "constrain"),
        crf_input="logits",
        crf_scale=10.0,  # 12 x 41 / 49
        foreground_decay=0.9972,  # 0.996 ** (41 x 41 / 49 / 49)
        background_decay=0.9993,
    ),
)
# The whole image, so that its labels hold for the view.
train_dataloader = dict(
    dataset=dict(augmentation=dict(warp=(193, 193), scale_range=(1.0, 1.0))),
)
