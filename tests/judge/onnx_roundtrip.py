"""onnx_roundtrip.py ROUNDTRIP_PROGRAM FOLDER...: every .onnx beneath the folders, loaded and saved, must be the same model."""
import pathlib
import subprocess
import sys
import tempfile

import onnx_same


def main():
    program, folders = sys.argv[1], sys.argv[2:]
    failed = count = 0
    for path in sorted(p for f in folders for p in pathlib.Path(f).rglob("*.onnx")):
        count += 1
        for mode in ("inside", "external"):
            with tempfile.TemporaryDirectory() as folder:
                out = f"{folder}/out.onnx"
                done = subprocess.run([program, str(path), out, mode], capture_output=True, text=True)
                difference = done.stderr if done.returncode != 0 else onnx_same.compare_files(str(path), out)
            if difference is not None:
                failed += 1
                print(f"FAILED {path} ({mode}): {difference}")
    print(f"round trip: {count} models, {failed} failed")
    return 1 if failed or count == 0 else 0


sys.exit(main())
