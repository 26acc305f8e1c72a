/* fewbit: quantize, run and evaluate neural networks. This header includes the whole interface. */
#ifndef FEWBIT_FEWBIT_H
#define FEWBIT_FEWBIT_H

#include "fewbit/calibrate.h"
#include "fewbit/checkpoint.h"
#include "fewbit/context.h"
#include "fewbit/dataset.h"
#include "fewbit/evaluate.h"
#include "fewbit/generate.h"
#include "fewbit/gguf_quantize.h"
#include "fewbit/hardware.h"
#include "fewbit/importance.h"
#include "fewbit/language.h"
#include "fewbit/language_evaluate.h"
#include "fewbit/model.h"
#include "fewbit/quantize.h"
#include "fewbit/session.h"
#include "fewbit/status.h"
#include "fewbit/steps.h"
#include "fewbit/tensor.h"
#include "fewbit/tokenizer.h"

#endif
