#!/bin/sh
# Rules that a compiler does not know. Prints every breach; exit code 1 if there is one.
# usage: structure.sh SOURCE_FOLDER
set -u
cd "$1" || exit 1
here=tests/structure
bad=0
breach() {
    echo "$1"
    bad=1
}

# A folder of src/ includes only itself and folders above it in this list.
folders="base tensor kernels graph ops passes run io data calibrate quantize evaluate report"
above=" "
for folder in $folders; do
    above="$above$folder "
    for file in $(find "src/$folder" -name '*.[ch]'); do
        for included in $(sed -n 's/^#include "\([a-z_0-9]*\)\/.*/\1/p' "$file" | sort -u); do
            case "$above" in
            *" $included "*) ;;
            *) [ "$included" = fewbit ] || grep -qx "$file $included" "$here/upward_includes.txt" 2>/dev/null || breach "$file includes $included/, which is below $folder/" ;;
            esac
        done
    done
done
for folder in src/*/; do
    folder=$(basename "$folder")
    case " $folders " in
    *" $folder "*) ;;
    *) breach "src/$folder is not in the list of folders" ;;
    esac
done

# Every kernel table is in the list that `fewbit cpu` and plans read.
for table in $(sed -n -e 's/^const .*\*const \(fb_[a-z0-9_]*\)_kernels\[\] = .*/\1/p' -e 's/^FB_KERNEL_TABLE(.*, \(fb_[a-z0-9_]*\))$/\1/p' src/kernels/*.c); do
    grep -q "^FB_ROWS_OF($table)" src/kernels/kernel_list.c && grep -q "FB_PRIMITIVE($table," src/kernels/kernel_list.c ||
        breach "the kernel table ${table}_kernels is not in src/kernels/kernel_list.c"
done

# The command and the examples use the public headers only.
for file in $(find cli examples -name '*.[ch]'); do
    for included in $(sed -n 's/^#include "\([a-z_0-9]*\)\/.*/\1/p' "$file" | sort -u); do
        [ "$included" = fewbit ] || breach "$file includes $included/"
    done
done

# At most 1,000 lines a file; above 600 only with a reason in the list; file names are unique.
sources=$(find src cli include tests examples bench -name '*.[ch]' -not -path '*/fixtures/*')
for file in $sources; do
    lines=$(wc -l < "$file")
    [ "$lines" -le 1000 ] || breach "$file has $lines lines"
    [ "$lines" -le 600 ] || grep -q "^$file:" "$here/long_files.txt" || breach "$file has $lines lines and no reason in $here/long_files.txt"
    head -1 "$file" | grep -q '^/\*' || breach "$file does not begin with a comment on its role"
done
for name in $(find src cli include -name '*.[ch]' | sed 's,.*/,,' | sort | uniq -d); do
    case "$name" in
    calibrate.h | context.h | dataset.h | evaluate.h | model.h | quantize.h | session.h | tensor.h | report.h) ;; # public header and inside
    *) grep -q "^$name:" "$here/same_names.txt" || breach "$name exists twice: $(find src cli include -name "$name" | tr '\n' ' ')" ;;
    esac
done

# Functions of at most 60 lines: from the brace in column 1 to its closing one. Larger ones are listed with a reason.
for file in $(find src cli -name '*.c'); do
    awk -v file="$file" '
        /^{/ { start = FNR; name = last }
        /^}/ { if (start && FNR - start - 1 > 60) print file " " name " " FNR - start - 1; start = 0 }
        { if ($0 !~ /^[{} \t#\/]/ && $0 ~ /\(/) { last = $0; sub(/\(.*/, "", last); sub(/.*[ *]/, "", last) } }' "$file"
done > "${TMPDIR:-/tmp}/fewbit-structure.$$"
while read -r file name lines; do
    grep -q "^$file $name:" "$here/long_files.txt" || breach "$file: $name has $lines lines"
done < "${TMPDIR:-/tmp}/fewbit-structure.$$"
rm -f "${TMPDIR:-/tmp}/fewbit-structure.$$"

# The library never prints, exits or aborts, and allocates through the context.
calls='printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror|exit|_exit|abort|signal|sigaction'
found=$(grep -rnE "(^|[^_a-zA-Z0-9])($calls)\(" src --include='*.c' --include='*.h' | grep -vE '^[^:]*:[0-9]*: *(/?\*)|format\(printf')
[ -z "$found" ] || breach "the library must not print, exit, abort or touch signals: $found"
for call in malloc calloc realloc free fopen; do
    found=$(grep -rnE "(^|[^_a-zA-Z0-9>.])$call\(" src --include='*.c' | grep -v '^src/base/context.c:' | grep -vE '^[^:]*:[0-9]*: *(/\*|\*)')
    [ -z "$found" ] || breach "$call() outside base/context.c: $found"
done

# A test that skips part of itself would count as passed: it is a test of its own that ends with 77.
found=$(grep -rnE '(^|[^_a-zA-Z0-9])skip\(\)' tests --include='*.c')
[ -z "$found" ] || breach "cmocka's skip() hides what did not run: $found"
# It says why in the words by which .ci/run tells whether the machine has what is missing.
found=$(grep -rnE "skipped:" tests tools --include='*.c' --include='*.sh' --include='*.py' --include=CMakeLists.txt |
    grep -vE "skipped: no (judges|shared data|Arm tools): |^tests/structure/|^tests/judge/skip.py:")
[ -z "$found" ] || breach "a skip without one of the known reasons: $found"

# Fast but inexact arithmetic, and notes to oneself, have no place here.
found=$(grep -rnE 'ffast-math|Ofast|pragma GCC optimize|TO[D]O|FIX[M]E|XX[X]' src cli include cmake CMakeLists.txt CMakePresets.json | grep -v 'mkstemp\|mkdtemp')
[ -z "$found" ] || breach "$found"
exit $bad
