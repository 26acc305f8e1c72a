# What `cpu` shows: the rows that a cap leaves, the measured peaks (masked: they are this machine's), the JSON twin.
mask_numbers() {
    sed -E -e 's/[0-9]+\.[0-9]+/NUMBER/g' -e 's/  +/  /g'
}
$FEWBIT cpu --isa scalar --threads 1 | sed -E -e '/^(processor|cores|cache)/d' -e '/^[a-z0-9_]+ +scalar +/{/^product_f32/!d}' -e 's/^([a-z0-9]+) +(yes|no) +(yes|no|capped)$/\1 HERE USED/' | mask_numbers
$FEWBIT cpu --isa scalar --threads 2 --json > cpu.json
grep -c '"primitive"' cpu.json | sed 's/^[1-9][0-9]*$/primitives are listed/'
grep '"row": ' cpu.json | sort -u
grep -E '_gflops|read_gb' cpu.json | mask_numbers
$FEWBIT cpu --format csv --threads 1 | cut -d, -f1 | grep -v cache
$FEWBIT cpu --isa sse9
