"""The rows of the pooling, upsampling, padding and cropping layers."""

from tests.layers.case import Case

FIRST = {"data_format": "channels_first"}
STEPS = (2, 7, 3)
PICTURE = (2, 6, 7, 3)
VOLUME = (2, 4, 5, 4, 2)

POOLING = [
    Case("MaxPooling1D", {"strides": 1, "padding": "same"}, STEPS, unknown=(None, None, 3)),
    Case("MaxPooling1D", {"pool_size": [3], **FIRST}, (2, 3, 7), dtype="int32"),
    Case("MaxPooling2D", {}, PICTURE, unknown=(None, None, None, 3)),
    Case("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, PICTURE),
    Case("MaxPooling2D", {"pool_size": (2, 3), **FIRST}, (2, 3, 6, 7), slow=True),
    Case("MaxPooling3D", {"pool_size": 2, "strides": (1, 2, 3), "padding": "same"}, VOLUME),
    Case("MaxPooling3D", {**FIRST}, (2, 2, 4, 5, 4), slow=True),
    Case("AveragePooling1D", {"pool_size": 2}, STEPS, dtype="int32"),
    Case("AveragePooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, STEPS, slow=True),
    Case(
        "AveragePooling2D",
        {"pool_size": (3, 2), "strides": (2, 1), "padding": "same", **FIRST},
        (2, 3, 6, 7),
        unknown=(None, 3, None, 7),
    ),
    Case("AveragePooling2D", {"pool_size": 2}, PICTURE, slow=True),
    Case("AveragePooling3D", {"pool_size": 2}, VOLUME, unknown=(None, 4, None, 4, 2)),
    Case("AveragePooling3D", {"pool_size": 3, "padding": "same"}, VOLUME, slow=True),
]

GLOBAL = [
    Case("GlobalMaxPooling1D", {"keepdims": True}, STEPS, unknown=(None, None, 3)),
    Case("GlobalMaxPooling1D", {**FIRST}, (2, 3, 7), dtype="int32", slow=True),
    Case("GlobalMaxPooling2D", {**FIRST}, (2, 3, 6, 7)),
    Case("GlobalMaxPooling2D", {"keepdims": True}, PICTURE, slow=True),
    Case("GlobalMaxPooling3D", {"keepdims": True, **FIRST}, (2, 2, 4, 5, 4), slow=True),
    Case("GlobalMaxPooling3D", {}, VOLUME, slow=True),
    Case("GlobalAveragePooling1D", {}, STEPS, masked=True, unknown=(None, None, 3)),
    Case("GlobalAveragePooling1D", {"keepdims": True}, STEPS, masked=True, slow=True),
    Case("GlobalAveragePooling1D", {**FIRST}, (2, 3, 7), dtype="int32", slow=True),
    Case("GlobalAveragePooling2D", {"keepdims": True, **FIRST}, (2, 3, 6, 7)),
    Case("GlobalAveragePooling2D", {}, PICTURE, slow=True),
    Case("GlobalAveragePooling3D", {}, VOLUME, slow=True),
]

UPSAMPLING = [
    Case("UpSampling1D", {"size": 3}, STEPS, unknown=(None, None, 3)),
    Case("UpSampling1D", {}, STEPS, dtype="int32", slow=True),
    Case("UpSampling2D", {"size": [2, 3], **FIRST}, (2, 3, 4, 5)),
    Case("UpSampling2D", {"interpolation": "bilinear"}, (2, 4, 5, 3), unknown=(None, None, 5, 3)),
    *(
        Case("UpSampling2D", {"size": (3, 2), "interpolation": how, **more}, shape, slow=True)
        for how, more, shape in (
            ("Bicubic", {}, (2, 4, 5, 3)),
            ("lanczos3", FIRST, (2, 3, 4, 5)),
            ("lanczos5", {}, (2, 4, 5, 3)),
            ("nearest", {}, (2, 4, 5, 3)),
        )
    ),
    Case("UpSampling2D", {"interpolation": "bilinear"}, (2, 4, 5, 3), dtype="int32", slow=True),
    Case("UpSampling3D", {"size": (1, 2, 3), **FIRST}, (2, 2, 3, 4, 2)),
    Case("UpSampling3D", {}, (2, 2, 3, 2, 2), slow=True),
]

EDGES = [
    Case("ZeroPadding1D", {"padding": (2, 1)}, STEPS, unknown=(None, None, 3)),
    Case("ZeroPadding1D", {**FIRST}, (2, 3, 7), dtype="int32", slow=True),
    Case("ZeroPadding2D", {"padding": [[1, 2], [0, 3]], **FIRST}, (2, 3, 4, 5)),
    Case("ZeroPadding2D", {"padding": (2, 3)}, PICTURE, unknown=(None, None, 7, 3), slow=True),
    Case("ZeroPadding3D", {"padding": (1, (0, 2), 0)}, VOLUME),
    Case("ZeroPadding3D", {"padding": 2, **FIRST}, VOLUME, dtype="bool", high=2, slow=True),
    Case("Cropping1D", {"cropping": (2, 0)}, STEPS, unknown=(None, None, 3)),
    Case("Cropping1D", {"cropping": 1}, STEPS, dtype="int32", slow=True),
    Case("Cropping2D", {"cropping": ((0, 2), 1), **FIRST}, (2, 3, 4, 5)),
    Case("Cropping2D", {"cropping": 2}, PICTURE, unknown=(None, None, 7, 3), slow=True),
    Case("Cropping2D", {}, PICTURE, slow=True),
    Case("Cropping3D", {"cropping": ((1, 0), (0, 2), (1, 1))}, VOLUME),
    Case("Cropping3D", {**FIRST}, (2, 2, 4, 5, 4), slow=True),
]

CASES: list[Case] = [*POOLING, *GLOBAL, *UPSAMPLING, *EDGES]
