"""A folder of your own images: Network in Network at the size of the images, or at 64 pixels where they are larger."""

from __future__ import annotations

from cldl.recipes.families.nin import CIFAR100_NIN, HELD_OUT
from cldl.recipes.photos import PhotoSpec
from cldl.recipes.sources import TUNED, UNTRIED
from cldl.recipes.spec import cited

KRIZHEVSKY = "Krizhevsky et al., NIPS 2012, section 4.1"
OWN = "as the folder has it"
AS_NIN = UNTRIED + ": as cifar100_nin"

FOLDER = CIFAR100_NIN.recite(HELD_OUT, AS_NIN).changed(
    name="folder",
    summary="CLDL on class folders, --data PATH; half of each loss unweighted",
    data=cited(
        PhotoSpec(
            dataset=cited("folder", OWN),
            preprocessing=cited("rgb_standard", UNTRIED + ": nothing has to be fitted on the folder's images"),
            augment=cited(True, KRIZHEVSKY),
            size=cited(None, OWN + ": 32 to 64 pixels"),
            resize=cited("short", "Simonyan and Zisserman, ICLR 2015, section 3.1"),
            min_scale=cited(None, KRIZHEVSKY + ": 256 for crops of 224"),
            max_scale=cited(None, KRIZHEVSKY + ": 256 for crops of 224"),
            test_scale=cited(None, KRIZHEVSKY + ": 256 for crops of 224"),
            mirror=cited(True, KRIZHEVSKY),
            colour_shift=cited(0.0, UNTRIED + ": none; 0.1 in " + KRIZHEVSKY),
            partition=cited(1, OWN + ": one partition; SUN397 has ten"),
            n_classes=cited(None, OWN),
        ),
        "",
    ),
    unweighted_share=cited(0.5, TUNED + ": without it classifiers divide a few easy classes"),
    dropout=cited(0.2, UNTRIED + ": few epochs"),
    learning_rate=cited(0.0007, UNTRIED),
    warmup=cited(0.25, UNTRIED),
    batch_size=cited(32, UNTRIED),
    epochs=cited(30, UNTRIED),
)

RECIPES = (FOLDER,)
MODELS = {"nin": FOLDER.model}
