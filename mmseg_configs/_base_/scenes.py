"""Generated scenes: 96 px images, all in memory, read by the training process itself."""

_base_ = ["voc12.py"]

data_root = "data/scenes"
train_dataloader = dict(
    batch_size=10,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        augmentation=dict(crop_size=(97, 97), scale_range=(0.75, 1.25)),
        memory_mb=256,
    ),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
