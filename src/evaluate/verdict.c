/* What a loss means: the table behind the last line of `evaluate`. */
#include <math.h>

#include "fewbit/evaluate.h"

static const FbVerdict verdicts[] = {
    {1, "excellent", "ship it"},
    {2, "acceptable", "fine for most uses"},
    {3, "repair or QAT", "diagnose the worst layers, keep some in float, or fine-tune with quantization"},
    {INFINITY, "unsuitable", "another preset, wider types, or quantization-aware training"},
};

const FbVerdict *fb_verdict_row(size_t index) { return index < sizeof verdicts / sizeof verdicts[0] ? &verdicts[index] : NULL; }

const FbVerdict *fb_verdict_of_loss(double loss_points)
{
    size_t i = 0;
    while (i + 1 < sizeof verdicts / sizeof verdicts[0] && !(loss_points < verdicts[i].below)) {
        i++;
    }
    return &verdicts[i];
}
