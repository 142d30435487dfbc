#!/usr/bin/env bash
# Pack what tests.gpu.check needs beside torch, timm, numpy and pyarrow into .gpu/, for a Linux
# machine (x86-64, Python 3.12 or $PYTHON_VERSION) without a network. Run it in the root of a
# checkout; there: bash tests/gpu/unpack_and_run.sh
set -euo pipefail
version=${PYTHON_VERSION:-3.12}
folder=.gpu
mkdir -p "$folder/wheels"
platforms=()
for tag in manylinux_2_34 manylinux_2_31 manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014 manylinux1; do
  platforms+=(--platform "${tag}_x86_64")
done
# pydantic's and zarr's own requirements are named, as no dependencies are followed: torch's would
# be gigabytes. Ray's workers import jsonschema, msgpack and attrs.
packages=(
  pydantic pydantic_core annotated-types typing_inspection
  zarr numcodecs google-crc32c donfig cloudpickle
  obstore simplejpeg
  ray jsonschema jsonschema-specifications referencing rpds-py attrs msgpack
)
for package in "${packages[@]}"; do
  ls "$folder/wheels/${package//-/_}"-*.whl > /dev/null 2>&1 && continue
  pinned=$(grep -iE "^${package}==" infra/constraints.txt || echo "$package")
  python3 -m pip download -q --no-deps --only-binary=:all: --implementation cp \
    --python-version "$version" "${platforms[@]}" -d "$folder/wheels" "$pinned"
done
# A raylet needs Ray's dashboard folder, but neither that folder's client nor the jars.
if ls "$folder"/wheels/ray-*.whl > /dev/null 2>&1; then
  python3 - "$folder" <<'PYTHON'
import sys
import tarfile
import zipfile
from pathlib import Path

folder = Path(sys.argv[1])
wheel = next(folder.glob("wheels/ray-*.whl"))
left_out = ("ray/jars/", "ray/rllib/", "ray/llm/", "ray/dashboard/client/")
with zipfile.ZipFile(wheel) as content, tarfile.open(folder / "ray.tar.xz", "w:xz") as packed:
    for item in content.infolist():
        if item.is_dir() or item.filename.startswith(left_out):
            continue
        entry = tarfile.TarInfo(item.filename)
        entry.size = item.file_size
        entry.mode = (item.external_attr >> 16) & 0o777 or 0o644
        packed.addfile(entry, content.open(item))
wheel.unlink()
PYTHON
fi
du -sh "$folder"
