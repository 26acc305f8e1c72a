/* Members of a zip archive, read through libzip with everything the directory claims checked before a byte is inflated. */
#ifndef FB_DATA_ARCHIVE_H
#define FB_DATA_ARCHIVE_H

#include "base/file.h"

enum {
    FB_ARCHIVE_MEMBERS_MAX = 4096,
    FB_ARCHIVE_RATIO_MAX = 1000 /* inflated / stored bytes; deflate itself reaches 1032 only on constant data */
};

typedef struct FbArchive FbArchive;
typedef struct FbMember FbMember;

/* Keeps a reference to source. Refuses encryption, unknown compression, duplicate or escaping names, overlapping members, sizes beyond the
 * file and ratios that only a bomb has. */
FbStatus fb_archive_open(FbContext *context, FbSource *source, FbArchive **archive, FbError *err);
void fb_archive_free(FbArchive *archive); /* NULL is fine; members must be closed before */

size_t fb_archive_count(const FbArchive *archive);
const char *fb_archive_name(const FbArchive *archive, size_t index);
uint64_t fb_archive_bytes(const FbArchive *archive, size_t index); /* inflated */

/* A member read by position. Reading forward is cheap; going back in a compressed member inflates from its beginning again. */
FbStatus fb_member_open(FbArchive *archive, size_t index, FbMember **member, FbError *err);
FbStatus fb_member_read(FbMember *member, uint64_t offset, void *out, size_t bytes, FbError *err);
/* Reads the whole member once; a checksum that does not agree is an error. */
FbStatus fb_member_verify(FbMember *member, FbError *err);
void fb_member_close(FbMember *member); /* NULL is fine */

#endif
