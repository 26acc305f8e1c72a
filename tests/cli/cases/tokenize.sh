# tokenize: ids and pieces, text of ids, formats, and what is refused.
fixtures=$SOURCE/tests/data/fixtures/tokenizers
"$FEWBIT" tokenize "$fixtures/llama2.json" -p "Hello wörld 🦙"
"$FEWBIT" tokenize "$fixtures/llama2.json" -p "a <s>" -p "b" --json
"$FEWBIT" tokenize "$fixtures/gpt2.json" --ids 44,5,6 --ids 2
"$FEWBIT" tokenize "$fixtures/gpt2.json" --ids 44,5,99999
echo "exit $?"
"$FEWBIT" tokenize "$fixtures/gpt2.json" --ids 4,,5
echo "exit $?"
"$FEWBIT" tokenize "$fixtures/gpt2.json"
echo "exit $?"
echo "no tokenizer" > t.txt
"$FEWBIT" tokenize t.txt -p a
echo "exit $?"
