/* SHA-256 through OpenSSL's EVP interface. */
#include "base/sha256.h"

#include <openssl/evp.h>

struct FbSha256 {
    FbContext *context;
    EVP_MD_CTX *state;
};

FbSha256 *fb_sha256_create(FbContext *context)
{
    FbSha256 *hash = fb_alloc_zero(context, sizeof *hash);
    if (!hash) {
        return NULL;
    }
    hash->context = context;
    hash->state = EVP_MD_CTX_new();
    if (!hash->state || EVP_DigestInit_ex(hash->state, EVP_sha256(), NULL) != 1) {
        fb_sha256_drop(hash);
        return NULL;
    }
    return hash;
}

void fb_sha256_add(FbSha256 *hash, const void *bytes, size_t count)
{
    if (count) {
        EVP_DigestUpdate(hash->state, bytes, count);
    }
}

void fb_sha256_finish(FbSha256 *hash, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    unsigned length = 0;
    EVP_DigestFinal_ex(hash->state, digest, &length);
    for (unsigned i = 0; i < 32; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = '\0';
    fb_sha256_drop(hash);
}

void fb_sha256_drop(FbSha256 *hash)
{
    if (hash) {
        EVP_MD_CTX_free(hash->state);
        fb_free(hash->context, hash);
    }
}
