"""What the judges of tokenizers share: ids and decoded texts of our program beside those of a library."""
import subprocess


def compare(command, name, texts, vectors):
    """`command` answers a line per text; vectors(text) gives ids and the text they decode to. Returns how many texts differ."""
    lines = "\n".join(text.encode().hex() for text in texts) + "\n"
    run = subprocess.run(command, input=lines, capture_output=True, text=True)
    if run.returncode != 0:
        print(f"FAILED {name}: {run.stderr}")
        return 1
    bad = 0
    for text, line in zip(texts, run.stdout.removesuffix("\n").split("\n"), strict=True):
        ids, decoded = line.split("\t")
        want, text_back = vectors(text)
        same = list(map(int, ids.split())) == want
        # Bytes that are no UTF-8 stay as they are here, the libraries write U+FFFD.
        back = bytes.fromhex(decoded).decode("utf-8", "replace").replace("\ufffd", "") == text_back.replace("\ufffd", "")
        if not (same and back):
            bad += 1
            if bad <= 3:
                print(f"DIFFERENT {name} {text[:60]!r}: {ids[:80]} / {want[:20]}; {decoded[:60]} / {text_back.encode().hex()[:60]}")
    print(f"{name}: {len(texts)} texts, {bad} different")
    return bad
