/* Class decisions: which vector of an output is judged, the best class, the rank of a label, and the check of the input chain. */
#ifndef FB_EVALUATE_JUDGE_H
#define FB_EVALUATE_JUDGE_H

#include "base/context.h"
#include "fewbit/dataset.h"

/* The vector of class scores inside an output: `classes` elements from `first`. classes 0: the output is no class vector. */
typedef struct FbJudged {
    int64_t first, classes;
} FbJudged;

/* position < 0: the output must be one vector (axes of 1 aside). Otherwise the last axis are classes and `position` the row. */
FbStatus fb_judge_find(const char *what, const FbTensor *output, int64_t position, FbJudged *judged, FbError *err);
/* The class with the highest score; ties: the lowest index. */
int64_t fb_judge_best(const FbTensor *output, const FbJudged *judged);
/* How many classes come before `label`: higher scores, and equal ones of lower index. 0 is top-1, < 5 is top-5. */
int64_t fb_judge_rank(const FbTensor *output, const FbJudged *judged, int64_t label);

/* Watches the float model for signs of wrong preprocessing or labels. */
typedef struct FbInputWatch {
    FbContext *context;
    uint64_t *predicted, *labelled; /* per class */
    int64_t classes;
    uint64_t samples, right, with_label;
    char first[400]; /* the first sample: shape, values per channel, best classes */
} FbInputWatch;

void fb_watch_init(FbInputWatch *watch, FbContext *context);
FbStatus fb_watch_add(FbInputWatch *watch, const FbSample *sample, const FbTensor *output, const FbJudged *judged, FbError *err);
/* Logs the warning "preprocessing?" when accuracy is near chance or one class takes more than 80 %; true when it did. */
bool fb_watch_report(const FbInputWatch *watch);
void fb_watch_reset(FbInputWatch *watch);

#endif
