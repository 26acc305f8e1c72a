#!/usr/bin/env python3
"""Writes tests/data/fixtures (good files with expected values from NumPy and Pillow) and tests/data/invalid (damaged ones; the expected
status is in invalid.tsv). Seeded: the committed files came from NumPy 2.4, Pillow 13.0. usage: make_fixtures.py FOLDER_OF_THIS_TEST"""
import io, struct, sys, zipfile, zlib
from pathlib import Path

import numpy as np
from PIL import Image

root = Path(sys.argv[1])
good, bad = root / "fixtures", root / "invalid"
good.mkdir(exist_ok=True)
bad.mkdir(exist_ok=True)
expected_status = {}


def invalid(name, data, status):
    (bad / name).write_bytes(data)
    expected_status[name] = status


# ---- .npy and .npz ---------------------------------------------------------------------------------------------------------------
def npy(array, version=None):
    f = io.BytesIO()
    np.lib.format.write_array(f, array, version=version, allow_pickle=True)
    return f.getvalue()


def npy_text(header, data=b"", version=1):
    text = header if isinstance(header, bytes) else header.encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


values = (np.arange(24).reshape(2, 3, 4) * 1.5 - 7).astype(np.float32)
arrays = {
    "f4": values, "f8": values.astype("f8"), "f2": values.astype("f2"), "big_f4": values.astype(">f4"), "big_i8": values.astype(">i8"),
    "big_u2": np.abs(values).astype(">u2"), "i1": values.astype("i1"), "u1": np.abs(values).astype("u1"), "i4": values.astype("i4"),
    "i8": values.astype("i8"), "bool": values > 0, "fortran": np.asfortranarray(values), "fortran_big": np.asfortranarray(values.astype(">f8")),
    "scalar": np.float32(2.5), "vector": values.reshape(-1)[:5].copy(), "empty": np.zeros((0, 3), np.float32),
}
np.savez(good / "stored.npz", **arrays)
np.savez_compressed(good / "deflated.npz", **arrays)
(good / "version2.npy").write_bytes(npy(values, (2, 0)))
(good / "version3.npy").write_bytes(npy(values, (3, 0)))
np.savez_compressed(good / "rows.npz", image=(np.arange(7 * 1 * 2 * 3) % 251).reshape(7, 1, 2, 3).astype("u1"), labels=np.arange(7) % 3,
                    ids=np.arange(7 * 4).reshape(7, 4, 1).astype("i4"), position=np.arange(7) % 4)

head = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
invalid("npy_header_past_end.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 5000) + head.encode() + b"\n", "format")
invalid("npy_header_huge.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + head.encode() + b"\n", "format")
invalid("npy_version_9.npy", b"\x93NUMPY\x09\x00" + npy(values)[8:], "unsupported")
invalid("npy_no_newline.npy", npy_text(head + "  ", bytes(8)), "format")
invalid("npy_duplicate_key.npy", npy_text("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", bytes(8)), "format")
invalid("npy_unknown_key.npy", npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}\n", bytes(8)), "format")
invalid("npy_missing_key.npy", npy_text("{'descr': '<f4', 'shape': (2,)}\n", bytes(8)), "format")
invalid("npy_expression.npy", npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').getpid(),), }\n", bytes(8)), "format")
invalid("npy_object.npy", npy(np.array([{"a": 1}], dtype=object)), "unsupported")
invalid("npy_structured.npy", npy(np.zeros(2, dtype=[("a", "f4"), ("b", "i4")])), "unsupported")
invalid("npy_text.npy", npy(np.array(["ab", "c"])), "unsupported")
invalid("npy_complex.npy", npy(np.zeros(2, dtype="c8")), "unsupported")
invalid("npy_negative.npy", npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n", bytes(8)), "format")
invalid("npy_overflow.npy", npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776), }\n", bytes(8)), "format")
invalid("npy_size_2_64.npy", npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,), }\n", bytes(8)), "format")
invalid("npy_short.npy", npy(values)[:-1], "format")
invalid("npy_long.npy", npy(values) + b"\0", "format")
invalid("npy_not_a_tuple.npy", npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (2), }\n", bytes(8)), "format")
invalid("npy_ten_axes.npy", npy(np.zeros((1,) * 10, np.float32)), "unsupported")
invalid("npy_bar_order.npy", npy_text(head.replace("<f4", "|f4") + "\n", bytes(8)), "format")


def npz(members, **options):
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", options.get("method", zipfile.ZIP_STORED)) as z:
        import warnings
        warnings.simplefilter("ignore")
        for name, data in members:
            z.writestr(zipfile.ZipInfo(name), data, compress_type=options.get("method", zipfile.ZIP_STORED))
    return f.getvalue()


one = npy(values)
plain = npz([("x.npy", one)])
invalid("npz_duplicate.npz", npz([("x.npy", one), ("x.npy", one)]), "format")
invalid("npz_escape.npz", npz([("../x.npy", one)]), "format")
invalid("npz_absolute.npz", npz([("/x.npy", one)]), "format")
invalid("npz_no_array.npz", npz([("x.npy", one), ("run.py", b"print(1)")]), "format")
invalid("npz_truncated.npz", plain[:-30], "format")
invalid("npz_bomb.npz", npz([("x.npy", npy(np.zeros(3 << 20, np.float32)))], method=zipfile.ZIP_DEFLATED), "format")
invalid("npz_bzip2.npz", npz([("x.npy", one)], method=zipfile.ZIP_BZIP2), "unsupported")
wrong = bytearray(plain)
wrong[plain.index(one) + len(one) - 1] ^= 1
invalid("npz_checksum.npz", bytes(wrong), "format")
wrong = bytearray(npz([("x.npy", one)], method=zipfile.ZIP_DEFLATED))
wrong[60] ^= 0x55
invalid("npz_deflate_damaged.npz", bytes(wrong), "format")
locked = bytearray(plain)
central = plain.index(b"PK\x01\x02")
locked[6] |= 1
locked[central + 8] |= 1
invalid("npz_encrypted.npz", bytes(locked), "unsupported")
# Two directory entries of different names on one local member, as Fifield's overlapping bomb has it.
entry = plain[central:plain.index(b"PK\x05\x06")]
overlap = plain[:central] + entry + entry.replace(b"x.npy", b"y.npy")
overlap += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, 2 * len(entry), central, 0)
invalid("npz_overlap.npz", overlap, "format")
size = bytearray(plain)
struct.pack_into("<I", size, central + 24, len(one) + 1)
invalid("npz_size_lie.npz", bytes(size), "format")
zip64 = bytearray(plain)
struct.pack_into("<II", zip64, central + 20, 0xFFFFFFFF, 0xFFFFFFFF)
invalid("npz_zip64_without_field.npz", bytes(zip64), "format")


# ---- pictures --------------------------------------------------------------------------------------------------------------------
def chunk(kind, data, crc=None):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)


def png(width, height, depth, colour, rows, interlace=0, extra=b"", data=None):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows, 9) if data is None else data) + chunk(b"IEND", b"")


def adam7(pixels):
    out = b""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        part = pixels[y0::dy, x0::dx]
        if part.size:
            out += b"".join(b"\0" + row.tobytes() for row in part)
    return out


rng = np.random.default_rng(7)
y, x = np.mgrid[0:19, 0:23]
smooth = np.stack([x * 11 % 256, y * 13 % 256, (x * y) % 256], -1).astype(np.uint8)
noisy = np.clip(smooth.astype(int) + rng.integers(-20, 20, smooth.shape), 0, 255).astype(np.uint8)
pictures = {}


def picture(name, data, rgb):
    (good / name).write_bytes(data)
    pictures[name] = np.ascontiguousarray(rgb, dtype=np.uint8)


def saved(image, kind, **options):
    f = io.BytesIO()
    image.save(f, kind, **options)
    return f.getvalue()


def pillow(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


rgb = Image.fromarray(noisy)
picture("rgb.png", saved(rgb, "PNG"), noisy)
picture("interlaced.png", png(23, 19, 8, 2, adam7(noisy), interlace=1), noisy)
wide = (noisy.astype("u2") << 8 | 0x80).astype(">u2")
picture("rgb16.png", png(23, 19, 16, 2, b"".join(b"\0" + r.tobytes() for r in wide)), noisy)
grey16 = (noisy[..., 0].astype("u2") << 8 | 0x7F).astype(">u2")
picture("grey16.png", png(23, 19, 16, 0, b"".join(b"\0" + r.tobytes() for r in grey16)), np.repeat(noisy[..., :1], 3, -1))
for name, image in (("palette.png", rgb.quantize(16)), ("grey.png", rgb.convert("L")), ("grey1.png", rgb.convert("1"))):
    data = saved(image, "PNG")
    picture(name, data, pillow(data))
alpha = np.concatenate([noisy, (x * 7 % 256).astype(np.uint8)[..., None]], -1)
picture("alpha.png", saved(Image.fromarray(alpha), "PNG"), noisy)
picture("grey_alpha.png", saved(Image.fromarray(alpha).convert("LA"), "PNG"), np.asarray(Image.fromarray(alpha).convert("LA").convert("RGB")))
data = saved(rgb.quantize(16), "PNG", transparency=0)
picture("palette_alpha.png", data, pillow(saved(rgb.quantize(16), "PNG")))
for name, image, options in (("rgb444.jpg", rgb, {"subsampling": 0}), ("rgb420.jpg", rgb, {"subsampling": 2}), ("progressive.jpg", rgb, {"progressive": True}),
                             ("grey.jpg", rgb.convert("L"), {}), ("cmyk.jpg", rgb.convert("CMYK"), {})):
    data = saved(image, "JPEG", quality=92, **options)
    picture(name, data, pillow(data))
np.savez_compressed(good / "pictures.npz", **{k: v for k, v in pictures.items()})

filters = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
resized = {"source": noisy}
for name, f in filters.items():
    for w, h in ((7, 5), (23, 8), (9, 19), (40, 31), (224, 3), (1, 1)):
        # Columns first, as Pillow to version 12 always did; 13 does rows first when the height shrinks much more than the width.
        resized[f"{name}_{w}x{h}"] = np.asarray(rgb.resize((w, 19), f).resize((w, h), f))
resized["grey"] = np.asarray(rgb.convert("L"))
np.savez_compressed(good / "resized.npz", **resized)

whole = saved(rgb, "PNG")
invalid("png_huge.png", png(100000, 100000, 8, 2, b"", data=bytes(1000)), "format")
invalid("png_many_pixels.png", png(60000, 60000, 8, 2, b"\0" * 1000), "format")
invalid("png_zero_width.png", png(0, 5, 8, 2, b"\0"), "format")
invalid("png_truncated.png", whole[: len(whole) // 2], "format")
invalid("png_no_end.png", whole[:-12], "format")
at = whole.index(b"IDAT")
flipped = bytearray(whole)
flipped[at + 40] ^= 1
invalid("png_checksum.png", bytes(flipped), "format")
invalid("png_only_magic.png", whole[:8], "format")
invalid("png_palette_missing.png", png(4, 4, 8, 3, b"\0\1\2\3\4" * 4), "format")
invalid("png_rows_missing.png", png(23, 19, 8, 2, b"\0" * 70), "format")
bomb = zlib.compress(bytes(30 << 20), 9)
(good / "text_bomb.png").write_bytes(png(23, 19, 8, 2, b"".join(b"\0" + r.tobytes() for r in noisy), extra=chunk(b"zTXt", b"k\0\0" + bomb)))
jpeg = saved(rgb, "JPEG", quality=90)
invalid("jpeg_truncated.jpg", jpeg[: len(jpeg) - 60], "format")
invalid("jpeg_no_end.jpg", jpeg[:-2], "format")
frame = jpeg.index(b"\xff\xc0")
zero = bytearray(jpeg)
struct.pack_into(">HH", zero, frame + 5, 19, 0)
invalid("jpeg_zero_width.jpg", bytes(zero), "format")
large = bytearray(jpeg)
struct.pack_into(">HH", large, frame + 5, 65000, 65000)
invalid("jpeg_huge.jpg", bytes(large), "format")
scans = saved(rgb, "JPEG", quality=90, progressive=True)
last = scans.rindex(b"\xff\xda")
invalid("jpeg_scans.jpg", scans[:-2] + scans[last:-2] * 1000 + b"\xff\xd9", "budget")
invalid("jpeg_only_magic.jpg", b"\xff\xd8\xff", "format")
invalid("picture_is_gif.png", b"GIF89a" + bytes(20), "format")
invalid("picture_empty.png", b"", "format")

(root / "invalid.tsv").write_text("".join(f"{k}\t{v}\n" for k, v in sorted(expected_status.items())))
