/* Every row primitive; included once per instruction set after its simd_*.h. */
#include "kernels/binary_body.h"
#include "kernels/codes_body.h"
#include "kernels/depthwise_f32_body.h"
#include "kernels/depthwise_u8s8_body.h"
#include "kernels/functions_body.h"
#include "kernels/lstm_f32_body.h"
#include "kernels/pool_f32_body.h"
#include "kernels/reduce_body.h"
#include "kernels/round_grid_body.h"
#include "kernels/scan_body.h"
/* These use the reductions. */
#include "kernels/norm_f32_body.h"
#include "kernels/softmax_f32_body.h"
