# bench: a row per model, number of threads and batch; inputs whose size is open need --shape. Times are masked; that the machine was busy
# is no part of the case.
model=$SOURCE/examples/fashion/fashion.onnx
measured='p50_ms|p95_ms|p99_ms|min_ms|throughput|spread|load_ms|session_bytes|peak_bytes|[a-z0-9]+_peak_fraction|[a-z0-9]+_gflops|[a-z0-9]+_gops'
bench() {
    "$FEWBIT" bench "$@" 2> notes
    code=$?
    grep -v 'bench-busy' notes
    return $code
}
bench "$model" --runs 3 --threads 1 --json | sed -E -e "s/\"($measured)\": [0-9.e+-]+/\"\1\": NUMBER/" -e '/"warnings"/,$d'
bench "$model" --baseline "$model" --runs 3 --threads 1,2 --batch 1,3 --format csv | cut -d, -f2-4
bench "$model" --baseline "$model" --runs 3 --threads 1 --batch 2 | sed -E -e 's/[0-9]+(\.[0-9]+)? [kM]B/SIZE/g' -e 's/[0-9]+\.[0-9]+/NUMBER/g' -e 's/[0-9]+ % float/PART/' \
    -e 's/: (scalar|avx[a-z0-9]*|amx|neon);/: ISA;/' -e 's/  +/  /g'
bench "$model" --baseline "$model" --runs 3 --threads 1 --json | sed -n -E -e 's/(speedup_[a-z0-9]+": )[0-9.e+-]+/\1NUMBER/' -e '/"comparison"/,/\]/p'
bench "$model" --shape pixels=2x1x28x28 --runs 3 --json | grep '"batch"'
bench "$model" --runs 1 --threads 1 --profile --format csv | cut -d, -f1-3 | sort | head -3
bench "$model" --runs 1 --threads 1 --profile | grep -E '^(Conv|GlobalAveragePool|Gemm) +[0-9]' | sed -E 's/ .*//' | sort
bench "$model" --runs 1 --threads 1 --isa scalar --mode float --json | grep -E '"(isa|execution|integer_macs)"'
for wrong in '--shape pixels=2x1' '--shape pixels' '--threads 0' '--threads 1,x' '--mode intger' '--batch ,1' '--isa avx'; do
    bench "$model" --runs 3 $wrong
    echo "exit $?"
done
