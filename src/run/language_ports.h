/* The inputs of a language model, by name. */
#ifndef FB_RUN_LANGUAGE_PORTS_H
#define FB_RUN_LANGUAGE_PORTS_H

#include "base/context.h"
#include "fewbit/model.h"

typedef enum FbLanguagePort { FB_PORT_IDS = 0, FB_PORT_POSITIONS, FB_PORT_SEQUENCES, FB_PORT_ROWS, FB_PORT_COUNT } FbLanguagePort;

typedef struct FbLanguagePorts {
    size_t index[FB_PORT_COUNT]; /* which input of the model */
    size_t vocabulary;
    uint64_t positions;          /* that the graph's tables hold; INT32_MAX where it says nothing */
} FbLanguagePorts;

/* FB_ERR_UNSUPPORTED: not the graph of a language model as fb_language_build makes it. */
FbStatus fb_language_ports(const FbModel *model, FbLanguagePorts *ports, FbError *err);

#endif
