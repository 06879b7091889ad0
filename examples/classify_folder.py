"""Sort the pictures of a folder into what a model sees in them.

    legodnn build mymodel.keras --data images:photos --out stores/mymodel && legodnn profile stores/mymodel
    python examples/classify_folder.py stores/mymodel holiday/

Needs the extra `images`, for Pillow.
"""

import sys
from pathlib import Path

from legodnn import LegoError, Runtime, images

if len(sys.argv) != 3:
    sys.exit(__doc__)
store, folder = sys.argv[1], Path(sys.argv[2])
with Runtime.open([store]) as runtime:
    name, opened = next(iter(runtime.stores.items()))
    spec, labels = opened.manifest.inputs[0], opened.manifest.model.labels
    for path in sorted(folder.iterdir()):
        try:
            answer = runtime.run(name, images.load(path, spec))  # turned, resized and scaled as the store says
        except LegoError as e:
            print(f"{path.name}: {e}", file=sys.stderr)
            continue
        best = int(next(iter(answer.outputs.values())).argmax())
        print(f"{path.name}: {labels[best] if labels else best}")
