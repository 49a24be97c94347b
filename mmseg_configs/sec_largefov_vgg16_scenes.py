"""SEC's losses on a VGG-16 of a quarter of the channels, for the generated scenes.

The losses see 25x25 cells where SEC's see 41x41: the CRF's distances and the decays follow.
"""

_base_ = ["deeplab_largefov_vgg16_scenes.py"]

model = dict(
    type="CueSegmentor",
    cues=dict(
        losses=("seed", "expand", "constrain"),
        crf_input="logits",
        crf_scale=20.0,  # 12 x 41 / 25
        foreground_decay=0.989,  # 0.996 ** (41 x 41 / 25 / 25)
        background_decay=0.9973,
    ),
)
# The whole image, so that its labels hold for the view.
train_dataloader = dict(
    dataset=dict(augmentation=dict(warp=(97, 97), scale_range=(1.0, 1.0))),
)
