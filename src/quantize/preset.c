/* The presets: recipes by name. */
#include "quantize/recipe.h"

#include <string.h>

#define HEAD(name, transforms) "{\"schema\":\"fewbit.recipe/1\",\"name\":\"" name "\",\"target\":\"onnxruntime\",\"format\":\"qdq\",\"transforms\":[" transforms "],"
#define FOLDS "\"fold_constants\",\"fold_batch_norm\",\"fold_bias\",\"fold_pad\""
#define U8 "{\"code\":\"u8\",\"symmetric\":false,\"calibrator\":\"mse\"}"
#define S8_CHANNEL "{\"code\":\"s8\",\"grain\":\"channel\",\"symmetric\":true,\"method\":\"rtn\",\"min_elements\":1}"
#define PRODUCTS "\"Conv\",\"ConvTranspose\",\"MatMul\",\"Gemm\""
#define WEIGHTED PRODUCTS ",\"Gather\",\"LSTM\",\"GRU\",\"RNN\""

static const char int8_static[] = HEAD("int8-static", FOLDS) "\"rules\":["
    "{\"match\":{\"op_type\":[" PRODUCTS "]},\"weights\":" S8_CHANNEL ",\"activations\":" U8 ",\"required\":false},"
    "{\"match\":{\"op_type\":[\"Add\",\"Mul\",\"AveragePool\",\"GlobalAveragePool\",\"Concat\",\"Sigmoid\",\"LeakyRelu\"]},"
    "\"activations\":" U8 ",\"required\":false}],\"exclude\":[]}";

static const char int8_dynamic[] = HEAD("int8-dynamic", "\"fold_constants\"") "\"rules\":["
    "{\"match\":{\"op_type\":[\"MatMul\",\"Gemm\"]},\"weights\":" S8_CHANNEL ",\"activations\":\"dynamic\",\"required\":false},"
    "{\"match\":{\"op_type\":[\"Gather\"]},\"weights\":{\"code\":\"s8\",\"grain\":\"channel\",\"symmetric\":true,\"method\":\"rtn\","
    "\"min_elements\":1024},\"activations\":\"dynamic\",\"required\":false},"
    "{\"match\":{\"op_type\":[\"LSTM\",\"GRU\",\"RNN\"]},\"weights\":" S8_CHANNEL ",\"activations\":\"dynamic\",\"required\":false}],"
    "\"exclude\":[]}";

static const char int8_weights[] = HEAD("int8-weights", "\"fold_constants\"") "\"rules\":["
    "{\"match\":{\"op_type\":[" WEIGHTED "]},\"weights\":{\"code\":\"s8\",\"grain\":\"channel\",\"symmetric\":true,\"method\":\"rtn\","
    "\"min_elements\":1024},\"activations\":null,\"required\":false}],\"exclude\":[]}";

static const char int4_weights[] = HEAD("int4-weights", "\"fold_constants\"") "\"rules\":["
    "{\"match\":{\"op_type\":[\"MatMul\",\"Gemm\"]},\"weights\":{\"code\":\"s4\",\"grain\":\"block\",\"block\":32,\"symmetric\":true,"
    "\"method\":\"rtn\",\"min_elements\":1024},\"activations\":null,\"required\":false}],\"exclude\":[]}";

static const char float16[] = HEAD("float16", "\"fold_constants\"") "\"rules\":["
    "{\"match\":{\"op_type\":[" WEIGHTED "]},\"weights\":{\"code\":\"f16\",\"min_elements\":64},\"activations\":null,\"required\":false}],"
    "\"exclude\":[]}";

static const char bfloat16[] = HEAD("bfloat16", "\"fold_constants\"") "\"rules\":["
    "{\"match\":{\"op_type\":[" WEIGHTED "]},\"weights\":{\"code\":\"bf16\",\"min_elements\":64},\"activations\":null,\"required\":false}],"
    "\"exclude\":[]}";

const FbPreset fb_presets[] = {
    {"int8-static", "8-bit weights and activations with measured ranges; needs calibration data", int8_static},
    {"int8-dynamic", "8-bit MatMul, Gemm and LSTM with ranges taken at run time; GRU and RNN: 8-bit weights; needs no data", int8_dynamic},
    {"int8-weights", "8-bit weights, embedding tables too, float arithmetic: smaller, not faster; needs no data", int8_weights},
    {"int4-weights", "4-bit weights of MatMul and Gemm in blocks of 32, float arithmetic; needs no data", int4_weights},
    {"float16", "weights stored as float16 behind a Cast, float arithmetic; needs no data", float16},
    {"bfloat16", "weights stored as bfloat16 behind a Cast, float arithmetic; needs no data", bfloat16},
};
const size_t fb_preset_count = sizeof fb_presets / sizeof fb_presets[0];
