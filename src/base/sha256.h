/* SHA-256 (OpenSSL libcrypto behind it). */
#ifndef FB_BASE_SHA256_H
#define FB_BASE_SHA256_H

#include "base/context.h"

typedef struct FbSha256 FbSha256;

FbSha256 *fb_sha256_create(FbContext *context);                 /* NULL: no memory */
void fb_sha256_add(FbSha256 *hash, const void *bytes, size_t count);
void fb_sha256_finish(FbSha256 *hash, char hex[65]);            /* frees hash */
void fb_sha256_drop(FbSha256 *hash);                            /* frees without a result; NULL is fine */

#endif
