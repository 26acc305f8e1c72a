/* A sample's identity: what makes duplicates and overlaps visible. */
#ifndef FB_CALIBRATE_DIGEST_H
#define FB_CALIBRATE_DIGEST_H

#include "calibrate/statistics.h"
#include "fewbit/dataset.h"

/* First bytes of the SHA-256 over types, shapes and bytes of the inputs. */
FbStatus fb_sample_digest(FbContext *context, const FbSample *sample, uint8_t digest[FB_DIGEST_BYTES], FbError *err);

#endif
