# Read by cases that need ../shared/data: sets `data` to its folder of language models, or ends the case as skipped; failed where CI=true.
data=$SOURCE/../shared/data/llm
if [ ! -d "$data" ]; then
    echo "skipped: no shared data: ../shared/data/llm is missing"
    [ "${CI:-}" = true ] && exit 1
    exit 77
fi
